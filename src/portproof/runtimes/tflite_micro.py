"""TensorFlow Lite Micro, as it runs on a microcontroller: from an arena, a row at a time."""

import platform
from functools import partial

from portproof.runtimes.environments.python import PythonEnvironment
from portproof.runtimes.runtime import NO_ROWS, TFLITE, Runtime

_LACKS = (
    NO_ROWS,
    (r"Didn't find op for builtin opcode '(\w+)'", r"\1"),
    (r"Node (\w+) \(number \d+\) failed to prepare", r"this kind of \1"),
    (r"Type '?(\w+)'? .*?not supported by (\w+)", r"\2 of \1"),
    (r"[Tt]ype (\w+) \(\d+\) not supported\. Node (\w+)", r"\2 of \1"),
    (r"input->type != expected_type \((\w+) != \w+\)\s*Node (\w+)", r"\2 of \1"),
    (r"Dimension mismatch", "a dynamic dimension beside the batch"),
    (r"runs only the first signature", "a second signature"),
)


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
        slowness=25.0,
        lacks=_LACKS,
    )


RUNTIMES = (_runtime(),)
