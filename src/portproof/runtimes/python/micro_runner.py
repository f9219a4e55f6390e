"""Runs `.tflite` files in TensorFlow Lite Micro."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

from portproof.bundle.tensors import Arrays, Infer
from portproof.runtimes.protocol import Request
from portproof.runtimes.python.loop import serve
from portproof.tflite.file import read_signature

SCHEMA = "tflite_micro.tensorflow.lite.micro.python.schema_py_generated"


@contextmanager
def errors_with_stderr() -> Iterator[None]:
    """Add to an error what the interpreter wrote to standard error, where it names the op."""
    original = os.dup(2)
    with tempfile.TemporaryFile() as written:
        os.dup2(written.fileno(), 2)
        try:
            yield
        except Exception as error:
            written.seek(0)
            text = " ".join(written.read().decode(errors="replace").split())
            raise RuntimeError(f"{error}: {text}" if text else str(error)) from error
        finally:
            os.dup2(original, 2)
            os.close(original)


def main() -> None:
    from tflite_micro.python.tflite_micro import runtime

    def load(request: Request) -> Infer:
        signature = read_signature(request.artifact, request.signature, SCHEMA)
        if signature.subgraph:
            raise ValueError("TensorFlow Lite Micro runs only the first signature of a file")
        with errors_with_stderr():
            interpreter = runtime.Interpreter.from_file(request.artifact)

        def infer(arrays: Arrays) -> Arrays:
            with errors_with_stderr():
                for name, array in arrays.items():
                    interpreter.set_input(array, signature.inputs[name].position)
                interpreter.invoke()
            outputs = signature.outputs.items()
            return {name: interpreter.get_output(tensor.position) for name, tensor in outputs}

        return infer

    serve({"tflite-micro": version("tflite-micro")}, load)


if __name__ == "__main__":
    main()
