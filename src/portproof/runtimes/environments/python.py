"""Python packages in an environment of their own, which uv makes."""

from __future__ import annotations

import os
import re
import sys
import sysconfig
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import uv
from packaging.version import InvalidVersion, Version

from portproof.runtimes.environments.environment import Environment, run_tool

LOCKS = Path(__file__).parent / "locks"
# What our runners import beside the runtime that they drive.
RUNNER_PACKAGES = ("ml-dtypes", "numpy", "pydantic", "safetensors")
_START = Path(__file__).parent.parent / "python" / "start.py"

# Python fills this dictionary at the first call and shows it to other threads half full
# (`get_config_vars` in Lib/sysconfig.py), which `uv.find_uv_bin` and `get_path` read in ours.
sysconfig.get_config_vars()


@dataclass(frozen=True)
class PythonEnvironment(Environment):
    """Packages of Python, from a lock with hashes at the default version, else newly resolved.

    Attributes:
        packages: The distributions that are meant; the first is the one whose version is asked for.
        constraints: Further requirements of the version that was asked for.
        has_runner: Whether one of our runners is run with it.
        has_all: Whether it has what the packages need too. If not, its folder is for the paths of
            an environment that has that.
    """

    packages: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    has_runner: bool = True
    has_all: bool = True

    @staticmethod
    def is_version(text: str) -> bool:
        try:
            Version(text)
        except InvalidVersion:
            return False
        return True

    @property
    def version(self) -> str:
        return self.version_of(self.packages[0])

    def version_of(self, package: str) -> str:
        """The version of a package in it: installed in place, asked for, or locked."""
        if self.in_place:
            return _installed(package)
        if self.is_locked:
            return locked_version(self.lock, package)
        assert package == self.packages[0]
        return self.requested

    @property
    def in_place(self) -> bool:
        installed = [_installed(package) for package in self.packages]
        return all(installed) and self._is_requested(installed[0])

    def _is_requested(self, version: str) -> bool:
        """Whether a version is the one asked for, or none is: `2.3` is `2.3.0`."""
        return not self.requested or Version(self.requested) == Version(version)

    @property
    def lock(self) -> Path:
        return LOCKS / f"{self.name}.txt"

    @property
    def requirements(self) -> list[str]:
        """What the environment is resolved from: the version asked for, and what a runner needs."""
        first, *others = self.packages
        pinned = f"{first}=={self.requested}" if self.requested else first
        of_runner = RUNNER_PACKAGES if self.has_runner else ()
        return [pinned, *others, *self.constraints, *of_runner]

    @property
    def is_locked(self) -> bool:
        """Whether the default version is meant."""
        return self.lock.is_file() and self._is_requested(
            locked_version(self.lock, self.packages[0])
        )

    def recipe(self) -> str:
        packages = self.lock.read_text() if self.is_locked else "\n".join(self.requirements)
        return "\n".join([packages, sysconfig.get_platform(), sys.version, sys.base_prefix])

    def fill(self, folder: Path) -> None:
        tool = str(uv.find_uv_bin())
        venv = folder / "venv"
        _run_uv(tool, "venv", "--quiet", "--python", sys.executable, str(venv))
        # Bytecode is left to the first run: all of it takes four times as long as all the rest.
        install = ["pip", "install", "--quiet", "--python", str(venv)]
        if self.is_locked:
            _run_uv(tool, *install, "--require-hashes", "-r", str(self.lock))
        else:
            options = () if self.has_all else ("--no-deps",)
            _run_uv(tool, *install, *options, *self.requirements)

    @property
    def python(self) -> Path:
        """The environment's interpreter: this process's own where it has all that is needed."""
        return Path(sys.executable if self.in_place else self.folder / "venv" / "bin" / "python")

    @property
    def site_packages(self) -> Path:
        """The folder that its packages are in."""
        if self.in_place:
            return Path(str(_distribution(self.packages[0]).locate_file("")))
        paths = {"base": str(self.folder / "venv"), "platbase": str(self.folder / "venv")}
        return Path(sysconfig.get_path("platlib", "venv", paths))

    def command(self, runner: str, *args: str) -> list[str]:
        """Runs one of our runners, with nothing from the current folder.

        Nothing of the user's settings for Python reaches an environment that is not the user's.
        """
        return [str(self.python), "-P" if self.in_place else "-I", str(_START), runner, *args]


# Variables that would decide what is installed, which the recipe alone does. Those for an index, a
# proxy, certificates and uv's own cache are the user's.
_NOT_OURS = {
    f"UV_{name}"
    for name in (
        "BUILD_CONSTRAINT",
        "CONSTRAINT",
        "EXCLUDE",
        "EXCLUDE_NEWER",
        "NO_DEPS",
        "OVERRIDE",
        "PRERELEASE",
        "REQUIRE_HASHES",
        "RESOLUTION",
        "TARGET",
    )
}


def _run_uv(tool: str, *arguments: str) -> None:
    """Run uv, from a folder above which no project can have settings for it."""
    variables = {name: value for name, value in os.environ.items() if name not in _NOT_OURS}
    # It gives up on a large wheel that comes in slowly after 30 seconds.
    variables.setdefault("UV_HTTP_TIMEOUT", "120")
    run_tool("uv", [tool, *arguments], Path("/"), variables)


# Builds of TensorFlow that import as `tensorflow`.
_OTHER_NAMES = {"tensorflow": ("tensorflow-cpu", "tf-nightly", "tf-nightly-cpu")}


def _distribution(package: str) -> Distribution:
    """A distribution in this process's environment. Raises PackageNotFoundError."""
    for name in (package, *_OTHER_NAMES.get(package, ())):
        with suppress(PackageNotFoundError):
            return distribution(name)
    raise PackageNotFoundError(package)


@cache
def _installed(package: str) -> str:
    """The version of a distribution in this process's environment, or nothing."""
    try:
        return _distribution(package).version
    except PackageNotFoundError:
        return ""


@cache
def locked_version(lock: Path, package: str) -> str:
    """The version of a package in a lock that `uv pip compile` wrote."""
    found = re.search(rf"^{re.escape(package)}==([^\s;\\]+)", lock.read_text(), re.MULTILINE)
    assert found, f"{lock.name} has no {package}"
    return found[1]
