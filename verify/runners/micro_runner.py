"""Runs `.tflite` files in TensorFlow Lite Micro."""

from importlib.metadata import version

from bundle.tensors import Arrays
from verify.runners.loop import Infer, Request, serve
from verify.runners.tflite_file import signature

SCHEMA = "tflite_micro.tensorflow.lite.micro.python.schema_py_generated"


def main() -> None:
    from tflite_micro.python.tflite_micro import runtime

    def load(request: Request) -> Infer:
        found = signature(request["artifact"], request["signature"], SCHEMA)
        if found.subgraph:
            raise ValueError("TensorFlow Lite Micro runs only the first signature of a file")
        interpreter = runtime.Interpreter.from_file(request["artifact"])

        def infer(arrays: Arrays) -> Arrays:
            for name, array in arrays.items():
                interpreter.set_input(array, found.inputs[name].position)
            interpreter.invoke()
            outputs = found.outputs.items()
            return {name: interpreter.get_output(tensor.position) for name, tensor in outputs}

        return infer

    serve({"tflite-micro": version("tflite-micro")}, load)


if __name__ == "__main__":
    main()
