"""A real browser: TF.js, LiteRT.js and ONNX Runtime Web on their backends, in headless Chromium.

One page at a time, in which one artifact after the other is loaded until one fails.
"""

import os
import platform
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from portproof.runtimes import javascript, onnxruntime
from portproof.runtimes.environments.node import NodeEnvironment
from portproof.runtimes.runtime import NO_ROWS, ONNX, TFJS, TFLITE, Runtime

# Of GPU backends where there is no GPU, and a browser computes what it would do.
_SLOWNESS = {"webgl": 40.0, "webgpu": 300.0, "wasm": 4.0}
NAMES = ("google-chrome", "google-chrome-stable", "chrome", "chromium", "chromium-browser")
APPLICATIONS = tuple(
    Path("/Applications", f"{name}.app", "Contents", "MacOS", name)
    for name in ("Google Chrome", "Chromium")
)

_LITERT_LACKS = (
    NO_ROWS,
    javascript.NO_DTYPE,
    (r"Element type (\w+) is not supported", r"tensors of \1"),
    (r"does not match expected ranked tensor type", "a dynamic dimension beside the batch"),
    (r"nothing was computed on WebGPU", "a shader for any of its ops"),
)

# Playwright, and the npm package @sparticuz/chromium, which carries a browser.
CHROMIUM = NodeEnvironment(
    "chromium", prefix="@sparticuz/", program=javascript.FOLDER / "unpack_chromium.mjs"
)


def installed() -> str | None:
    """The browser that $CHROME names, or an installed one."""
    if named := os.environ.get("CHROME"):
        return named
    on_path = [path for name in NAMES if (path := shutil.which(name))]
    applications = [str(path) for path in APPLICATIONS if path.is_file()]
    return next(iter([*on_path, *applications]), None)


# What is not run on a backend. In ONNX Runtime Web 1.30 a batch of 1,000 rows gives other numbers
# from row 250 on where a single row was computed before it: its shaders for integers of 8 bits keep
# what depends on the shape. LiteRT computes an int8 file on WebGPU in floats, whose error is not
# the one that the file declares of its integers.
_LEFT_OUT = {
    ("onnx int8", "webgpu"),
    ("onnx dynamic-range", "webgpu"),
    ("tflite int8", "webgpu"),
}


def _obstacle() -> str:
    """The npm package @sparticuz/chromium carries a browser for Linux on x86-64 alone."""
    browser = installed()
    if browser and not shutil.which(browser):
        return f"$CHROME is {browser}, which is no program: name a Chrome or Chromium"
    if not browser and (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        return "install Chrome or Chromium, or name it in $CHROME"
    return ""


@dataclass(frozen=True)
class _Page:
    """What one of the pages in js/page/ loads.

    Attributes:
        packages: The environment of its packages; the version that is asked for is of those with
            the prefix.
        prefix: See NodeEnvironment.
        formats: The formats that it runs.
        lacks: See Runtime, as the others.
        one_row: The formats of which it takes no dynamic dimension.
        inspects: The formats of which it shows the tensors inside.
    """

    packages: str
    prefix: str
    formats: tuple[str, ...]
    lacks: tuple[tuple[str, str], ...]
    one_row: tuple[str, ...] = ()
    inspects: tuple[str, ...] = ()


_PAGES = {
    "tfjs": _Page("tfjs", "@tensorflow/", TFJS, javascript.LACKS, inspects=("tfjs-graph",)),
    "litert": _Page("litertjs", "@litertjs/core", TFLITE, _LITERT_LACKS, one_row=TFLITE),
    "onnxruntime": _Page("onnxruntime-web", "onnxruntime-web", ONNX, onnxruntime.LACKS),
}


def _runtime(name: str, backend: str, version: str = "") -> Runtime:
    page = _PAGES[name]
    packages = NodeEnvironment(page.packages, version, prefix=page.prefix, also=(CHROMIUM,))

    def variables() -> dict[str, str]:
        browser = installed()
        return {**packages.variables(), **({"CHROME": browser} if browser else {})}

    def readable() -> list[Path]:
        browser = shutil.which(installed() or "")
        return [Path(browser).resolve().parent] if browser else []

    return Runtime(
        name=f"{name}-chromium-{backend}",
        formats=tuple(f for f in page.formats if (f, backend) not in _LEFT_OUT),
        command=partial(javascript.command, "chromium_runner.mjs", name),
        variables=variables,
        readable=readable,
        reach="loopback",
        environment=packages,
        obstacle=_obstacle,
        at=partial(_runtime, name, backend),
        backend=backend,
        one_row=page.one_row,
        shader=backend in ("webgl", "webgpu"),
        inspects=page.inspects,
        slowness=_SLOWNESS[backend],
        options={"backend": backend},
        lacks=page.lacks,
    )


RUNTIMES = (
    *(_runtime("tfjs", backend) for backend in ("webgl", "webgpu", "wasm")),
    _runtime("litert", "wasm"),
    _runtime("litert", "webgpu"),
    _runtime("onnxruntime", "wasm"),
    _runtime("onnxruntime", "webgpu"),
)
