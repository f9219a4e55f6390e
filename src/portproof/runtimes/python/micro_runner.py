"""Runs `.tflite` files in TensorFlow Lite Micro, in an arena of the size that they need."""

import re
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from portproof.bundle.tensors import Arrays, Infer
from portproof.runtimes.protocol import Request
from portproof.runtimes.python.captured import captured_stderr
from portproof.runtimes.python.loop import serve
from portproof.tflite.file import read_signature

# An arena's size, in bytes: where to start, and where to give up. It is taken four times as large
# until the file's tensors fit: to try one takes a millisecond.
FIRST_ARENA, LARGEST_ARENA = 1 << 20, 1 << 32
SCHEMA = "tflite_micro.tensorflow.lite.micro.python.schema_py_generated"


def with_fitting_arena(make: Callable[[int], Any]) -> Any:
    """An interpreter in the first arena that is large enough.

    Its package gives a file ten times its own size, which a large activation does not fit into.
    """
    size = FIRST_ARENA
    while True:
        try:
            with captured_stderr():
                return make(size)
        except RuntimeError as error:
            too_small = re.search(r"Failed to (allocate|resize)", str(error))
            if not too_small or size >= LARGEST_ARENA:
                raise
        size *= 4


def arena_note(interpreter: Any) -> str:
    """The arena that a device must have for the model, as the recording allocator counts it."""
    with captured_stderr() as text:
        interpreter.print_allocations()
        found = re.search(r"Arena allocation total (\d+) bytes", text())
    return f"needs an arena of {-(-int(found[1]) // 1024):,} KiB" if found else ""


def main() -> None:
    from tflite_micro.python.tflite_micro import runtime

    def load(request: Request) -> Infer:
        signature = read_signature(request.artifact, request.signature, SCHEMA)
        if signature.subgraph:
            raise ValueError("TensorFlow Lite Micro runs only the first signature of a file")
        interpreter = with_fitting_arena(
            lambda size: runtime.Interpreter.from_file(request.artifact, arena_size=size)
        )

        def infer(arrays: Arrays) -> Arrays:
            with captured_stderr():
                for name, array in arrays.items():
                    interpreter.set_input(array, signature.inputs[name].position)
                interpreter.invoke()
            infer.answer_fields = {"note": arena_note(interpreter)}  # type: ignore[attr-defined]
            outputs = signature.outputs.items()
            return {name: interpreter.get_output(tensor.position) for name, tensor in outputs}

        return infer

    serve({"tflite-micro": version("tflite-micro")}, load)


if __name__ == "__main__":
    main()
