"""Runs SavedModels, `.tflite` and `.onnx` files in OpenVINO on the CPU, in float32."""

from typing import Any

import ml_dtypes

from portproof.bundle.tensors import Arrays, Infer
from portproof.runtimes.protocol import Request
from portproof.runtimes.python.loop import serve
from portproof.tflite.file import read_signature


def main() -> None:
    import openvino

    core = openvino.Core()
    devices: list[str] = []

    def load(request: Request) -> Infer:
        # Else OpenVINO computes in bfloat16 on a CPU that has instructions for it.
        config = {"INFERENCE_PRECISION_HINT": "f32"}
        model = core.read_model(request.artifact)
        compiled = core.compile_model(model, "CPU", config)
        devices[:] = compiled.get_property("EXECUTION_DEVICES")
        inputs, outputs = _ports(request, model, compiled)

        def infer(arrays: Arrays) -> Arrays:
            results = compiled({inputs[name]: array for name, array in arrays.items()})
            return {name: _values(results[port], port) for name, port in outputs.items()}

        return infer

    serve({"openvino": openvino.__version__}, load, lambda: ",".join(devices))


def _ports(request: Request, model: Any, compiled: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The model's inputs and outputs by the signature's names.

    A SavedModel's ports have those names, and an `.onnx` file's. For a `.tflite` OpenVINO keeps the
    tensors' own names. What is compiled has other names too, where a node was removed.
    """
    if request.format == "tflite":
        signature = read_signature(request.artifact, request.signature)
        if signature.subgraph:
            raise ValueError("OpenVINO runs only the first signature of a .tflite")
        return (
            {name: compiled.input(tensor.name) for name, tensor in signature.inputs.items()},
            {name: compiled.output(tensor.name) for name, tensor in signature.outputs.items()},
        )
    if request.signatures > 1:
        raise ValueError("OpenVINO does not say which of several signatures it reads")
    return (
        {name: port for port in compiled.inputs for name in port.get_names()},
        {_output_name(p): port for p, port in zip(model.outputs, compiled.outputs, strict=True)},
    )


def _values(array: Any, port: Any) -> Any:
    """An output's array. OpenVINO's Python hands bfloat16 out as the bits of float16."""
    is_bfloat16 = port.get_element_type().get_type_name() == "bf16"
    return array.view(ml_dtypes.bfloat16) if is_bfloat16 else array


def _output_name(port: Any) -> str:
    """An output's name in the signature. One that hands an input through has that name too."""
    own = port.get_node().get_friendly_name()
    return str(own if own in port.get_names() else port.get_any_name())


if __name__ == "__main__":
    main()
