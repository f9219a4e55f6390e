"""OpenVINO on the CPU: an engine that shares no kernel with TensorFlow's family."""

from functools import partial

from portproof.runtimes.runtime import Runtime, missing_package, python_command

RUNTIMES = (
    Runtime(
        name="openvino",
        # Not int8: it computes that in floats, between roundings, a whole step off at times.
        formats=("savedmodel", "tflite", "tflite float16", "tflite dynamic-range"),
        command=partial(python_command, "openvino_runner"),
        missing=partial(missing_package, "openvino", "portproof[openvino]"),
        backend="CPU",
    ),
)
