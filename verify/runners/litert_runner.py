"""Runs `.tflite` files in LiteRT's interpreter. The argument names its op resolver."""

import sys
from importlib.metadata import version

from bundle.tensors import Arrays
from verify.runners.loop import Infer, Request, serve


def main() -> None:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolver = sys.argv[1]

    def load(request: Request) -> Infer:
        interpreter = Interpreter(
            request["artifact"], experimental_op_resolver_type=OpResolverType[resolver]
        )
        runner = interpreter.get_signature_runner(request["signature"])

        def infer(inputs: Arrays) -> Arrays:
            return dict(runner(**inputs))

        return infer

    serve({"ai-edge-litert": version("ai-edge-litert")}, load, lambda: resolver)


if __name__ == "__main__":
    main()
