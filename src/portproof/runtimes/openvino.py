"""OpenVINO on the CPU: an engine that shares no kernel with TensorFlow's family."""

from functools import partial

from portproof.runtimes.environments.python import PythonEnvironment
from portproof.runtimes.runtime import NO_ROWS, TFLITE, Runtime

_LACKS = (
    NO_ROWS,
    (r"No translator found for (\w+) node", r"\1"),
    (r"No conversion rule found for operations: ([\w, ]+?) To facilitate", r"\1"),
    (r"unregistered_parameters\.str", "lookup tables"),
    (r"runs only the first signature", "a second signature"),
    (r"which of several signatures", "several signatures"),
)


def _runtime(version: str = "") -> Runtime:
    # LiteRT's package reads the names of a .tflite file's tensors.
    packages = PythonEnvironment("openvino", version, packages=("openvino", "ai-edge-litert"))
    return Runtime(
        name="openvino",
        # Not int8: it computes that in floats, between roundings, a whole step off at times.
        formats=(
            "savedmodel",
            *(name for name in TFLITE if name != "tflite int8"),
            "onnx",
            "onnx float16",
        ),
        command=partial(packages.command, "openvino_runner"),
        environment=packages,
        at=_runtime,
        backend="CPU",
        lacks=_LACKS,
    )


RUNTIMES = (_runtime(),)
