"""TensorFlow Lite Micro, as it runs on a microcontroller: from an arena, a row at a time."""

import platform
from functools import partial

from portproof.runtimes.environments.python import PythonEnvironment
from portproof.runtimes.runtime import TFLITE, Runtime


def _obstacle() -> str:
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        return "its package is for Linux on x86-64 alone"
    return ""


def _runtime(version: str = "") -> Runtime:
    packages = PythonEnvironment("tflite-micro", version, packages=("tflite-micro",))
    return Runtime(
        name="tflite-micro",
        formats=("tflite", "tflite int8"),  # it has neither float16 nor hybrid kernels
        command=partial(packages.command, "micro_runner"),
        environment=packages,
        obstacle=_obstacle,
        at=_runtime,
        one_row=TFLITE,
    )


RUNTIMES = (_runtime(),)
