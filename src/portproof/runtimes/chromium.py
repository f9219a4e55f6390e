"""A real browser: TF.js on WebGL, WebGPU and WASM, and LiteRT.js on WASM, in headless Chromium.

One page at a time, in which one artifact after the other is loaded until one fails.
"""

import os
import platform
import shutil
from functools import partial
from pathlib import Path

from portproof.runtimes import javascript
from portproof.runtimes.environments.node import NodeEnvironment
from portproof.runtimes.runtime import NO_ROWS, TFLITE, Runtime

TFJS = ("tfjs-graph", "tfjs-layers")
# Of GPU backends where there is no GPU, and a browser computes what it would do.
_SLOWNESS = {"webgl": 40.0, "webgpu": 300.0, "wasm": 4.0}
NAMES = ("google-chrome", "google-chrome-stable", "chrome", "chromium", "chromium-browser")
APPLICATIONS = tuple(
    Path("/Applications", f"{name}.app", "Contents", "MacOS", name)
    for name in ("Google Chrome", "Chromium")
)

_LITERT_LACKS = (
    NO_ROWS,
    (r"does not match expected ranked tensor type", "a dynamic dimension beside the batch"),
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


def _obstacle() -> str:
    """The npm package @sparticuz/chromium carries a browser for Linux on x86-64 alone."""
    browser = installed()
    if browser and not shutil.which(browser):
        return f"$CHROME is {browser}, which is no program: name a Chrome or Chromium"
    if not browser and (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        return "install Chrome or Chromium, or name it in $CHROME"
    return ""


def _runtime(page: str, backend: str, version: str = "") -> Runtime:
    if page == "tfjs":
        packages = javascript.tfjs(version, also=(CHROMIUM,))
    else:
        packages = NodeEnvironment("litertjs", version, prefix="@litertjs/core", also=(CHROMIUM,))

    def variables() -> dict[str, str]:
        browser = installed()
        return {**packages.variables(), **({"CHROME": browser} if browser else {})}

    def readable() -> list[Path]:
        browser = shutil.which(installed() or "")
        return [Path(browser).resolve().parent] if browser else []

    return Runtime(
        name=f"{page}-chromium-{backend}",
        formats=TFJS if page == "tfjs" else TFLITE,
        command=partial(javascript.command, "chromium_runner.mjs", page),
        variables=variables,
        readable=readable,
        reach="loopback",
        environment=packages,
        obstacle=_obstacle,
        at=partial(_runtime, page, backend),
        backend=backend,
        one_row=TFLITE,  # LiteRT.js takes no dynamic dimension
        shader=backend in ("webgl", "webgpu"),
        inspects=("tfjs-graph",) if page == "tfjs" else (),
        slowness=_SLOWNESS[backend],
        options={"backend": backend},
        lacks=javascript.LACKS if page == "tfjs" else _LITERT_LACKS,
    )


RUNTIMES = (
    *(_runtime("tfjs", backend) for backend in ("webgl", "webgpu", "wasm")),
    _runtime("litert", "wasm"),
)
