"""A real browser: TF.js on WebGL, WebGPU and WASM, and LiteRT.js on WASM, in headless Chromium.

One browser process serves them all; each artifact and backend has a page of its own.
"""

import os
import platform
import shutil
from functools import partial
from pathlib import Path

from portproof.runtimes import javascript
from portproof.runtimes.runtime import TFLITE, Runtime

TFJS = ("tfjs-graph", "tfjs-layers")
NAMES = ("google-chrome", "google-chrome-stable", "chrome", "chromium", "chromium-browser")
APPLICATIONS = tuple(
    Path("/Applications", f"{name}.app", "Contents", "MacOS", name)
    for name in ("Google Chrome", "Chromium")
)


def installed() -> str | None:
    """The browser that $CHROME names, or an installed one."""
    if named := os.environ.get("CHROME"):
        return named
    on_path = [path for name in NAMES if (path := shutil.which(name))]
    applications = [str(path) for path in APPLICATIONS if path.is_file()]
    return next(iter([*on_path, *applications]), None)


def _missing() -> str:
    """The npm package @sparticuz/chromium carries a browser for Linux on x86-64 alone."""
    browser = installed()
    if browser and not shutil.which(browser):
        return f"$CHROME is {browser}, which is no program: name a Chrome or Chromium"
    if not browser and (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        return "install Chrome or Chromium, or name it in $CHROME"
    return javascript.missing()


def _runtime(page: str, backend: str, formats: tuple[str, ...]) -> Runtime:
    browser = installed()
    return Runtime(
        name=f"{page}-chromium-{backend}",
        formats=formats,
        command=partial(javascript.command, "chromium_runner.mjs"),
        missing=_missing,
        backend=backend,
        one_row=TFLITE,  # LiteRT.js takes no dynamic dimension
        shader=backend in ("webgl", "webgpu"),
        inspects=("tfjs-graph",) if page == "tfjs" else (),
        environment={"CHROME": browser} if browser else {},
        options={"page": page, "backend": backend},
    )


RUNTIMES = (
    *(_runtime("tfjs", backend, TFJS) for backend in ("webgl", "webgpu", "wasm")),
    _runtime("litert", "wasm", TFLITE),
)
