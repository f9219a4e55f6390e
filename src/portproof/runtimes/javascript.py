"""The JavaScript runners, and the packages that they need."""

from pathlib import Path

from portproof.runtimes.environments.node import NodeEnvironment, node

# What js/safetensors.mjs says of tensors that it has no typed array for.
NO_DTYPE = (r"JavaScript has no dtype (\w+)", r"tensors of \1")
# What TF.js says where a backend lacks a kernel, or it knows no such op or layer.
LACKS = (
    NO_DTYPE,
    (r"Kernel '(\w+)' not registered for backend", r"\1"),
    (r"Unknown op '(\w+)'", r"\1"),
    (r"(\w+) for rank (\d+) is not yet supported", r"\1 of rank \2"),
    (r"The ellipsis notation", "Einsum with an ellipsis"),
    (r"Unknown layer: (\w+)", r"\1"),
)
FOLDER = Path(__file__).parent / "js"


def tfjs(version: str = "", *, also: tuple[NodeEnvironment, ...] = ()) -> NodeEnvironment:
    """TF.js with all its backends, for Node and for pages."""
    return NodeEnvironment("tfjs", version, prefix="@tensorflow/", also=also)


def command(program: str, *args: str) -> list[str]:
    return [str(node()), str(FOLDER / program), *args]
