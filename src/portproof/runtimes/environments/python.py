"""Python packages in an environment of their own, which uv makes."""

from __future__ import annotations

import os
import platform
import re
import sys
import sysconfig
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

import uv

from portproof.runtimes.environments.environment import Environment, run_tool

LOCKS = Path(__file__).parent / "locks"
# What our runners import beside the runtime that they drive.
RUNNER_PACKAGES = ("ml-dtypes", "numpy", "pydantic", "safetensors")
_START = Path(__file__).parent.parent / "python" / "start.py"


@dataclass(frozen=True)
class PythonEnvironment(Environment):
    """Packages of Python, from a lock with hashes at the default version, else newly resolved.

    Attributes:
        packages: The distributions that are meant; the first is the one whose version is asked for.
        constraints: Further requirements of the version that was asked for.
        has_runner: Whether one of our runners is run with it.
    """

    packages: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    has_runner: bool = True

    @property
    def version(self) -> str:
        return self.version_of(self.packages[0])

    def version_of(self, package: str) -> str:
        """The version of a package in it: installed in place, asked for, or locked."""
        if self.in_place:
            return _installed(package)
        meant = self.asked if package == self.packages[0] else ""
        return meant or locked_version(self.lock, package)

    @property
    def in_place(self) -> bool:
        installed = [_installed(package) for package in self.packages]
        return all(installed) and self.asked in ("", installed[0])

    @property
    def lock(self) -> Path:
        return LOCKS / f"{self.name}.txt"

    @property
    def requirements(self) -> list[str]:
        """What the environment is resolved from: the version asked for, and what a runner needs."""
        first, *others = self.packages
        pinned = f"{first}=={self.asked}" if self.asked else first
        of_runner = RUNNER_PACKAGES if self.has_runner else ()
        return [pinned, *others, *self.constraints, *of_runner]

    @property
    def is_locked(self) -> bool:
        return self.lock.is_file() and self.asked in (
            "",
            locked_version(self.lock, self.packages[0]),
        )

    def recipe(self) -> str:
        packages = self.lock.read_text() if self.is_locked else "\n".join(self.requirements)
        return "\n".join([packages, sysconfig.get_platform(), sys.version, sys.base_prefix])

    def fill(self, folder: Path) -> None:
        tool = str(uv.find_uv_bin())
        run_tool(
            "uv", [tool, "venv", "--quiet", "--python", sys.executable, folder / "venv"], folder
        )
        python = _python_in(folder / "venv")
        install = [tool, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python)]
        # uv waits a minute for a connection, and a large wheel may come in slowly.
        variables = {"UV_HTTP_TIMEOUT": os.environ.get("UV_HTTP_TIMEOUT", "120")}
        if self.is_locked:
            run_tool("uv", [*install, "--require-hashes", "-r", self.lock], folder, variables)
        else:
            run_tool("uv", [*install, *self.requirements], folder, variables)

    @property
    def python(self) -> Path:
        """The environment's interpreter: this process's own where it has all that is needed."""
        return Path(sys.executable) if self.in_place else _python_in(self.folder / "venv")

    @property
    def site_packages(self) -> Path:
        """The folder that its packages are in."""
        if self.in_place:
            return Path(str(distribution(self.packages[0]).locate_file("")))
        paths = {"base": str(self.folder / "venv"), "platbase": str(self.folder / "venv")}
        return Path(sysconfig.get_path("platlib", "venv", paths))

    def command(self, runner: str, *args: str) -> list[str]:
        """Runs one of our runners, with nothing from the current folder.

        Nothing of the user's settings for Python reaches an environment that is not the user's.
        """
        return [str(self.python), "-P" if self.in_place else "-I", str(_START), runner, *args]


def _python_in(folder: Path) -> Path:
    """The interpreter of a virtual environment."""
    windows = platform.system() == "Windows"
    return folder / ("Scripts/python.exe" if windows else "bin/python")


@cache
def _installed(package: str) -> str:
    """The version of a distribution in this process's environment, or nothing."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


@cache
def locked_version(lock: Path, package: str) -> str:
    """The version of a package in a lock that `uv pip compile` wrote."""
    found = re.search(rf"^{re.escape(package)}==([^\s;\\]+)", lock.read_text(), re.MULTILINE)
    assert found, f"{lock.name} has no {package}"
    return found[1]
