"""The locks of the runtimes' environments: `make lock` resolves all of them anew."""

import os
import shutil
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import uv

from portproof.runtimes.environments.environment import Environment, run_tool
from portproof.runtimes.environments.node import NODE, NodeEnvironment, npm
from portproof.runtimes.environments.python import LOCKS, PythonEnvironment
from portproof.runtimes.table import RUNTIMES


def main() -> None:
    wanted = {e.name: e for runtime in RUNTIMES for e in with_needs(runtime.environment)}
    for name, environment in wanted.items():
        print(f"locking {name}", flush=True)
        lock(environment)


def with_needs(environment: Environment | None) -> list[Environment]:
    if not environment:
        return []
    return [*(e for needed in environment.needs for e in with_needs(needed)), environment]


def lock(environment: Environment) -> None:
    if isinstance(environment, PythonEnvironment):
        lock_python(environment)
    elif isinstance(environment, NodeEnvironment):
        lock_node(environment)


def lock_python(environment: PythonEnvironment) -> None:
    options = ["--quiet", "--no-header", "--no-annotate", "--universal", "--generate-hashes"]
    with TemporaryDirectory() as folder:
        wanted = Path(folder, "requirements.in")
        wanted.write_text("\n".join(replace(environment, requested="").requirements))
        command = [uv.find_uv_bin(), "pip", "compile", *options, "--python-version", "3.11"]
        run_tool("uv", [*command, wanted, "-o", Path(folder, "lock")], Path(folder), os.environ)
        shutil.copy(Path(folder, "lock"), LOCKS / f"{environment.name}.txt")


def lock_node(environment: NodeEnvironment) -> None:
    NODE.make(print)
    command = [*npm(), "install", "--package-lock-only", "--no-fund", "--no-audit"]
    (environment.lock / "package-lock.json").unlink(missing_ok=True)
    run_tool("npm", command, environment.lock, os.environ)


if __name__ == "__main__":
    main()
