"""Runs `.tflite` files in TensorFlow Lite Micro."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

from bundle.tensors import Arrays
from verify.runners.loop import Infer, Request, serve
from verify.runners.tflite_file import signature

SCHEMA = "tflite_micro.tensorflow.lite.micro.python.schema_py_generated"


@contextmanager
def heard() -> Iterator[None]:
    """Add to an error what the interpreter wrote to standard error, where it names the op."""
    kept = os.dup(2)
    with tempfile.TemporaryFile() as written:
        os.dup2(written.fileno(), 2)
        try:
            yield
        except Exception as error:
            written.seek(0)
            said = " ".join(written.read().decode(errors="replace").split())
            raise RuntimeError(f"{error}: {said}" if said else str(error)) from error
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def main() -> None:
    from tflite_micro.python.tflite_micro import runtime

    def load(request: Request) -> Infer:
        found = signature(request["artifact"], request["signature"], SCHEMA)
        if found.subgraph:
            raise ValueError("TensorFlow Lite Micro runs only the first signature of a file")
        with heard():
            interpreter = runtime.Interpreter.from_file(request["artifact"])

        def infer(arrays: Arrays) -> Arrays:
            with heard():
                for name, array in arrays.items():
                    interpreter.set_input(array, found.inputs[name].position)
                interpreter.invoke()
            outputs = found.outputs.items()
            return {name: interpreter.get_output(tensor.position) for name, tensor in outputs}

        return infer

    serve({"tflite-micro": version("tflite-micro")}, load)


if __name__ == "__main__":
    main()
