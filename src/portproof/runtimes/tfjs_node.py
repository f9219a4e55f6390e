"""TF.js in Node, on its `cpu` and `wasm` backends."""

from functools import partial

from portproof.runtimes import javascript
from portproof.runtimes.runtime import TFJS, Runtime


def _runtime(backend: str, version: str = "") -> Runtime:
    packages = javascript.tfjs(version)
    return Runtime(
        name=f"tfjs-node-{backend}",
        formats=TFJS,
        command=partial(javascript.command, "tfjs_node.mjs", backend),
        variables=packages.variables,
        environment=packages,
        at=partial(_runtime, backend),
        backend=backend,
        slowness=100.0 if backend == "cpu" else 4.0,
        inspects=("tfjs-graph",),
        lacks=javascript.LACKS,
    )


RUNTIMES = (_runtime("cpu"), _runtime("wasm"))
