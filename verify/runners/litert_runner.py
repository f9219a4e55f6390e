"""Runs `.tflite` files in LiteRT's interpreter.

The first argument names its op resolver; a second one the number of threads, which is LiteRT's to
choose otherwise.
"""

import sys
from importlib.metadata import version
from typing import Any

import numpy as np

from bundle.tensors import Arrays
from verify.runners.loop import Infer, Request, serve
from verify.runners.tflite_file import computed, signature

SCHEMA = "ai_edge_litert.schema_py_generated"


def main() -> None:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolver = sys.argv[1]
    threads = int(sys.argv[2]) if len(sys.argv) > 2 else None

    def load(request: Request) -> Infer:
        interpreter = Interpreter(
            request["artifact"],
            num_threads=threads,
            experimental_op_resolver_type=OpResolverType[resolver],
            experimental_preserve_all_tensors=bool(request["inspect"]),
        )
        runner = interpreter.get_signature_runner(request["signature"])

        def infer(inputs: Arrays) -> Arrays:
            outputs = dict(runner(**inputs))
            return inner_tensors(interpreter, request) if request["inspect"] else outputs

        return infer

    serve({"ai-edge-litert": version("ai-edge-litert")}, load, lambda: resolver)


def inner_tensors(interpreter: Any, request: Request) -> Arrays:
    """Every tensor that an op of the signature's subgraph made, by the names in the file."""
    found = signature(request["artifact"], request["signature"], SCHEMA)
    made = computed(request["artifact"], found.subgraph, SCHEMA)
    arrays = {}
    for detail in interpreter.get_tensor_details(found.subgraph):
        if detail["index"] in made and detail["dtype"] is not np.str_:
            arrays[detail["name"]] = interpreter.get_tensor(detail["index"], found.subgraph)
    return arrays


if __name__ == "__main__":
    main()
