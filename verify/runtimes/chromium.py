"""A real browser: TF.js on WebGL, WebGPU and WASM, and LiteRT.js on WASM, in headless Chromium.

One browser process serves them all; each artifact and backend has a page of its own.
"""

from functools import partial

from verify.runtimes import javascript
from verify.runtimes.runtime import Rows, Runtime

TFJS = ("tfjs-graph", "tfjs-layers")


def _runtime(page: str, backend: str, formats: tuple[str, ...], rows: Rows = "any") -> Runtime:
    return Runtime(
        name=f"{page}-chromium-{backend}",
        formats=formats,
        command=partial(javascript.command, "chromium_runner.mjs"),
        missing=javascript.missing,
        backend=backend,
        rows=rows,
        options={"page": page, "backend": backend},
    )


RUNTIMES = (
    *(
        _runtime("tfjs", backend, ("tfjs-graph", "tfjs-layers"))
        for backend in ("webgl", "webgpu", "wasm")
    ),
    _runtime("litert", "wasm", ("tflite",), rows="one_row"),
)
