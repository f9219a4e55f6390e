"""OpenVINO on the CPU: an engine that shares no kernel with TensorFlow's family."""

from functools import partial

from verify.runtimes.runtime import Runtime, missing_package, python_command

RUNTIMES = (
    Runtime(
        name="openvino",
        formats=("savedmodel", "tflite"),
        command=partial(python_command, "openvino_runner"),
        missing=partial(missing_package, "openvino", "portproof[openvino]"),
        backend="CPU",
    ),
)
