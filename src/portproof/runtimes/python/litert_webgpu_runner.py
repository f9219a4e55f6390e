"""Runs `.tflite` files in LiteRT on its WebGPU accelerator, and on the CPU what that lacks."""

import re
from importlib.metadata import version
from typing import Any

import numpy as np

from portproof.bundle.tensors import Arrays, Infer
from portproof.runtimes.protocol import Request
from portproof.runtimes.python.captured import captured_stderr
from portproof.runtimes.python.loop import serve
from portproof.tflite.file import operation_count

# What the accelerator says of a file that it takes in part, on standard error alone.
_IN_PART = re.compile(
    r"(\d+) operations will run on the GPU, and the remaining (\d+) operations will run on the CPU"
)


def load(request: Request) -> Infer:
    """Compile a file. Raises ValueError where the accelerator takes none of its operations."""
    from ai_edge_litert.compiled_model import CompiledModel
    from ai_edge_litert.hardware_accelerator import HardwareAccelerator
    from ai_edge_litert.options import GpuOptions, Options

    options = Options(
        HardwareAccelerator.GPU | HardwareAccelerator.CPU,
        # Floats of 16 bits are its default, also for a file of 32.
        gpu_options=GpuOptions(enforce_f32=True),
    )
    try:
        with captured_stderr() as text:
            model = CompiledModel.from_file(request.artifact, options=options)
            said = text()
    except RuntimeError as error:  # which has all that LiteRT said since it started
        if "only supports static-sized tensors" in str(error):
            raise ValueError("it has a dynamic dimension beside the batch") from error
        raise ValueError(str(error).partition(": INFO:")[0]) from error
    key = request.signature or next(iter(model.get_signature_list()))

    def infer(inputs: Arrays) -> Arrays:
        shapes = model.get_input_tensor_details(key)
        for name, array in inputs.items():
            # It can be resized, and gives wrong numbers then at some lengths (LiteRT 2.3).
            if tuple(shapes[name]["shape"]) != array.shape:
                raise ValueError(f"{name} would have a dynamic dimension beside the batch")
        given = {name: model.create_input_buffer_by_name(key, name) for name in inputs}
        for name, array in inputs.items():
            given[name].write(array)
        details = model.get_output_tensor_details(key)
        outputs = {name: model.create_output_buffer_by_name(key, name) for name in details}
        model.run_by_name(key, given, outputs)
        return {name: _array(outputs[name], detail) for name, detail in details.items()}

    infer.answer_fields = {"note": _note(model, said, request)}  # type: ignore[attr-defined]
    return infer


def _note(model: Any, said: str, request: Request) -> str:
    """How many operations the accelerator took. Raises ValueError where it took none."""
    if part := _IN_PART.search(said):
        if int(part[1]):
            return f"{part[1]} operations on WebGPU, {part[2]} on the CPU"
    elif model.is_fully_accelerated():
        return f"{operation_count(request.artifact, request.signature)} operations on WebGPU"
    raise ValueError("nothing was computed on WebGPU")


def _array(buffer: Any, detail: Any) -> np.ndarray[Any, Any]:
    shape = [int(size) for size in detail["shape"]]
    array = buffer.read(int(np.prod(shape)), detail["dtype"])
    return np.asarray(array).reshape(shape)


def main() -> None:
    serve({"ai-edge-litert": version("ai-edge-litert")}, load, lambda: "webgpu")


if __name__ == "__main__":
    main()
