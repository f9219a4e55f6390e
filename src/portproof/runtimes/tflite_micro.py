"""TensorFlow Lite Micro, as it runs on a microcontroller: from an arena, a row at a time."""

from functools import partial

from portproof.runtimes.runtime import TFLITE, Runtime, missing_package, python_command

RUNTIMES = (
    Runtime(
        name="tflite-micro",
        formats=("tflite", "tflite int8"),  # it has neither float16 nor hybrid kernels
        command=partial(python_command, "micro_runner"),
        missing=partial(missing_package, "tflite_micro", "portproof[micro]"),
        one_row=TFLITE,
    ),
)
