"""ONNX Runtime on the CPU, in Python and in Node. In a browser: chromium.py."""

from functools import partial

from portproof.runtimes import javascript
from portproof.runtimes.environments.node import NodeEnvironment
from portproof.runtimes.environments.python import PythonEnvironment
from portproof.runtimes.runtime import NO_ROWS, ONNX, Runtime

LACKS = (
    NO_ROWS,
    javascript.NO_DTYPE,
    (r"nothing was computed on WebGPU", "a shader for any of its ops"),
    (r"Only Conv2d or Conv1d are supported", "a transposed convolution of three dimensions"),
    (r"Too many storage buffers in shader", "so many buffers in a shader"),
    (r"requires f16 but the device does not", "floats of 16 bits in shaders"),
    (r"ScalesValidation '(\w+)' mode only supports", r"a resize of such scales (\1)"),
    (r"Could not find an implementation for (\w+)\((\d+)\)", r"\1 of opset \2"),
    (r"Fatal error: [\w.:]*?(\w+)\(-?\d+\) is not a registered function/op", r"\1"),
)


def _runtime(version: str = "") -> Runtime:
    # With onnx the runner shows the tensors inside.
    packages = PythonEnvironment("onnxruntime", version, packages=("onnxruntime", "onnx"))
    return Runtime(
        name="onnxruntime",
        formats=ONNX,
        inspects=ONNX,
        command=partial(packages.command, "onnxruntime_runner"),
        environment=packages,
        at=_runtime,
        backend="CPUExecutionProvider",
        lacks=LACKS,
    )


def _node(version: str = "") -> Runtime:
    packages = NodeEnvironment("onnxruntime-node", version, prefix="onnxruntime-node")
    return Runtime(
        name="onnxruntime-node",
        formats=ONNX,
        command=partial(javascript.command, "onnxruntime_node.mjs"),
        variables=packages.variables,
        environment=packages,
        at=_node,
        backend="cpu",
        lacks=LACKS,
    )


RUNTIMES = (_runtime(), _node())
