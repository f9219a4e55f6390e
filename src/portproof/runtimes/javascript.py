"""The JavaScript runners, and the packages that they need."""

from pathlib import Path

from portproof.runtimes.environments.node import NodeEnvironment, node

FOLDER = Path(__file__).parent / "js"


def tfjs(version: str = "", *, also: tuple[NodeEnvironment, ...] = ()) -> NodeEnvironment:
    """TF.js with all its backends, for Node and for pages."""
    return NodeEnvironment("tfjs", version, prefix="@tensorflow/", also=also)


def command(program: str, *args: str) -> list[str]:
    return [str(node()), str(FOLDER / program), *args]
