"""Programs of the runtimes' environments, which the tests run by themselves."""

from pathlib import Path

from portproof.runtimes.chromium import CHROMIUM
from portproof.runtimes.environments.node import node
from portproof.runtimes.table import select
from tests.conftest import REPOSITORY

HELPERS = REPOSITORY / "tests" / "helpers"


def node_command(program: str | Path, *args: str) -> list[str]:
    """A program in Node; one of the helpers by its name."""
    return [str(node()), str(HELPERS / program), *args]


def browser_variables() -> dict[str, str]:
    """What a program needs that launches the browser."""
    return CHROMIUM.variables()


def link_packages(folder: Path) -> None:
    """Put the npm packages of what runs in browsers into a folder, as `npm install` would."""
    for name in ("tfjs-node-cpu", "litert-chromium-wasm", "onnxruntime-chromium-wasm"):
        [runtime] = select([name], [])
        assert runtime.environment
        for package in (runtime.environment.folder / "node_modules").iterdir():
            target = folder / "node_modules" / package.name
            target.parent.mkdir(exist_ok=True)
            if not target.exists():
                target.symlink_to(package)
