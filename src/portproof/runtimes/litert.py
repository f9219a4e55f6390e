"""LiteRT's interpreter, without TensorFlow: with XNNPACK as it ships, and its reference kernels."""

from functools import partial

from portproof.runtimes.runtime import TFLITE, Runtime, missing_package, python_command


def _runtime(name: str, resolver: str) -> Runtime:
    return Runtime(
        name=name,
        formats=TFLITE,
        command=partial(python_command, "litert_runner", resolver),
        missing=partial(missing_package, "ai_edge_litert", "ai-edge-litert"),
        backend=resolver,
        inspects=("tflite",),
    )


RUNTIMES = (_runtime("litert", "BUILTIN"), _runtime("litert-reference", "BUILTIN_REF"))
