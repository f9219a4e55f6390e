"""Runs `.tflite` files in LiteRT's interpreter.

The first argument names its op resolver. A second one is the number of threads; without it LiteRT
chooses.
"""

import sys
from importlib.metadata import version
from typing import Any

import numpy as np

from portproof.bundle.tensors import Arrays, Infer
from portproof.runtimes.protocol import Node, Request
from portproof.runtimes.python.loop import serve
from portproof.tflite.file import computed_tensors, operations, read_signature


def main() -> None:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolver = sys.argv[1]
    threads = int(sys.argv[2]) if len(sys.argv) > 2 else None

    def load(request: Request) -> Infer:
        interpreter = Interpreter(
            request.artifact,
            num_threads=threads,
            experimental_op_resolver_type=OpResolverType[resolver],
            experimental_preserve_all_tensors=bool(request.inspect),
        )
        runner = (
            interpreter.get_signature_runner(request.signature)
            if request.signature
            else by_position(interpreter)
        )

        def infer(inputs: Arrays) -> Arrays:
            outputs = dict(runner(**inputs))
            return inner_tensors(interpreter, request) if request.inspect else outputs

        if request.inspect:
            infer.answer_fields = {"nodes": nodes(request)}  # type: ignore[attr-defined]
        return infer

    serve({"ai-edge-litert": version("ai-edge-litert")}, load, lambda: resolver)


def by_position(interpreter: Any) -> Any:
    """A call of a file without signatures, by the tensors' own names."""

    def run(**arrays: Any) -> Arrays:
        inputs = {detail["name"]: detail for detail in interpreter.get_input_details()}
        for name, array in arrays.items():
            if tuple(inputs[name]["shape"]) != array.shape:
                interpreter.resize_tensor_input(inputs[name]["index"], array.shape, strict=True)
        interpreter.allocate_tensors()
        for name, array in arrays.items():
            interpreter.set_tensor(inputs[name]["index"], array)
        interpreter.invoke()
        outputs = interpreter.get_output_details()
        return {detail["name"]: interpreter.get_tensor(detail["index"]) for detail in outputs}

    return run


def inner_tensors(interpreter: Any, request: Request) -> Arrays:
    """Every tensor that an op of the signature's subgraph made, by the names in the file.

    Of a quantised file these are the floats that its integers stand for.
    """
    subgraph = read_signature(request.artifact, request.signature).subgraph
    computed = computed_tensors(request.artifact, subgraph)
    arrays = {}
    for detail in interpreter.get_tensor_details(subgraph):
        if detail["index"] in computed and detail["dtype"] is not np.str_:
            array = interpreter.get_tensor(detail["index"], subgraph)
            arrays[detail["name"]] = _as_floats(array, detail["quantization_parameters"])
    return arrays


def nodes(request: Request) -> tuple[Node, ...]:
    """The tensors of the signature's subgraph as nodes, by their names in the file."""
    subgraph = read_signature(request.artifact, request.signature).subgraph
    return tuple(
        Node(name=name, op=op, inputs=inputs)
        for name, op, inputs in operations(request.artifact, subgraph)
    )


def _as_floats(array: Any, quantization: Any) -> Any:
    """What a tensor's integers stand for, where they stand for floats."""
    scales, zero_points = quantization["scales"], quantization["zero_points"]
    if len(scales) != 1:
        return array
    return ((array.astype(np.float64) - zero_points[0]) * scales[0]).astype(np.float32)


if __name__ == "__main__":
    main()
