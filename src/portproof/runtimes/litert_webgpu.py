"""LiteRT's WebGPU accelerator in Python: ops run as shaders, by Vulkan."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from portproof.runtimes.chromium import CHROMIUM
from portproof.runtimes.environments.environment import Environment
from portproof.runtimes.environments.python import PythonEnvironment
from portproof.runtimes.runtime import NO_ROWS, TFLITE, Runtime

# Vulkan's own way to name the driver of a GPU (the loader's LoaderDriverInterface.md).
_DRIVERS = ("VK_DRIVER_FILES", "VK_ICD_FILENAMES")
_LACKS = (
    NO_ROWS,
    (r"nothing was computed on WebGPU", "a shader for any of its ops"),
    (r"a dynamic dimension beside the batch", "a dynamic dimension beside the batch"),
    # It says why once in a process: at the next file of this kind this is all.
    (r"Failed to modify graph with delegate", "an accelerator for this graph"),
)


@dataclass(frozen=True)
class _WithVulkan(PythonEnvironment):
    """LiteRT's package, and Chromium's Vulkan in software: the same driver on every machine."""

    @property
    def needs(self) -> tuple[Environment, ...]:
        return (CHROMIUM,)


def _obstacle() -> str:
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        return "it was tried on Linux on x86-64 alone"
    return ""


def _variables() -> dict[str, str]:
    """Where Vulkan is, and its driver: that of Chromium, unless the person names another."""
    browser = CHROMIUM.folder / "browser"
    if named := {name: os.environ[name] for name in _DRIVERS if name in os.environ}:
        return {**named, "LD_LIBRARY_PATH": os.environ.get("LD_LIBRARY_PATH", str(browser))}
    driver = str(browser / "vk_swiftshader_icd.json")
    return {"LD_LIBRARY_PATH": str(browser), "VK_ICD_FILENAMES": driver}


def _readable() -> list[Path]:
    """The drivers that the person names; a GPU's own files are not shown in a sandbox."""
    named = [path for name in _DRIVERS for path in os.environ.get(name, "").split(os.pathsep)]
    return [Path(path) for path in named if path]


def _runtime(version: str = "") -> Runtime:
    packages = _WithVulkan("litert", version, packages=("ai-edge-litert",))
    return Runtime(
        name="litert-webgpu",
        # Not int8, which it computes in floats: another error than the file declares of itself.
        formats=tuple(name for name in TFLITE if name != "tflite int8"),
        command=partial(packages.command, "litert_webgpu_runner"),
        variables=_variables,
        readable=_readable,
        environment=packages,
        obstacle=_obstacle,
        at=_runtime,
        backend="webgpu",
        one_row=TFLITE,
        shader=True,
        slowness=300.0,  # where there is no GPU
        lacks=_LACKS,
    )


RUNTIMES = (_runtime(),)
