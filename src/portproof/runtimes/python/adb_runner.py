"""Runs `.tflite` files on an Android device, one process of `benchmark_model` a call.

The tool takes inputs and gives outputs as the bytes of their tensors, in the order of the file's
graph (tensorflow/lite/tools/benchmark/benchmark_tflite_model.cc: `input_layer_value_files`,
`output_filepath`).
"""

import os
import re
import secrets
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from portproof.bundle.tensors import Arrays, Infer
from portproof.runtimes.protocol import Request
from portproof.runtimes.python.loop import serve
from portproof.tflite.file import read_signature

_TIMES = re.compile(r"Inference \(avg\): ([0-9.e+]+)")


def main() -> None:
    from ai_edge_litert.interpreter import Interpreter

    tool = os.environ["PORTPROOF_BENCHMARK_MODEL"]
    device = _Device()
    device.shell(f"mkdir -p {device.folder}")

    def load(request: Request) -> Infer:
        signature = read_signature(request.artifact, request.signature)
        if signature.subgraph:
            raise ValueError("benchmark_model runs only the first signature of a file")
        # For the tensors' dtypes and shapes alone: nothing is computed here.
        interpreter = Interpreter(request.artifact)
        model = f"{device.folder}/model.tflite"
        device.push(Path(request.artifact), model)
        given = sorted(signature.inputs, key=lambda name: signature.inputs[name].position)
        names = sorted(signature.outputs, key=lambda name: signature.outputs[name].position)

        def infer(arrays: Arrays) -> Arrays:
            ordered = [arrays[name] for name in given]
            flags = device.inputs(ordered)
            result = f"{device.folder}/output.bin"
            command = [tool, f"--graph={model}", *flags, f"--output_filepath={result}"]
            command += ["--num_runs=1", "--warmup_runs=0", "--min_secs=0", "--warmup_min_secs=0"]
            said = device.shell(f"rm -f {result}; {shlex.join(command)}")
            content = device.pull(result)
            if timed := _TIMES.search(said):
                infer.answer_fields = {"note": f"{float(timed[1]):.0f} us"}  # type: ignore[attr-defined]
            return _split(content, _outputs(interpreter, ordered), names)

        return infer

    try:
        serve({"benchmark_model": device.shell("getprop ro.product.model").strip()}, load)
    finally:
        device.shell(f"rm -rf {device.folder}")


class _Device:
    """The device that adb has, or that $ANDROID_SERIAL names."""

    def __init__(self) -> None:
        self.folder = f"/data/local/tmp/portproof-{secrets.token_hex(8)}"

    def shell(self, command: str) -> str:
        """Run a command there. Raises ValueError with its last line where it fails."""
        return _adb("shell", command)

    def push(self, file: Path, to: str) -> None:
        _adb("push", str(file), to)

    def inputs(self, arrays: list[np.ndarray[Any, Any]]) -> list[str]:
        """Put inputs there; gives the flags that name them."""
        names = [f"input{number}" for number in range(len(arrays))]
        paths = [f"{self.folder}/{name}.bin" for name in names]
        with tempfile.TemporaryDirectory() as folder:
            for name, path, array in zip(names, paths, arrays, strict=True):
                file = Path(folder, name)
                file.write_bytes(np.require(array, requirements="C").tobytes())
                self.push(file, path)
        shapes = [",".join(map(str, array.shape)) for array in arrays]
        files = [f"{name}:{path}" for name, path in zip(names, paths, strict=True)]
        return [
            f"--input_layer={','.join(names)}",
            f"--input_layer_shape={':'.join(shapes)}",
            f"--input_layer_value_files={','.join(files)}",
        ]

    def pull(self, path: str) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "output")
            _adb("pull", path, str(file))
            return file.read_bytes()


def _outputs(interpreter: Any, arrays: list[np.ndarray[Any, Any]]) -> list[dict[str, Any]]:
    """The outputs' details for inputs of these shapes."""
    for detail, array in zip(interpreter.get_input_details(), arrays, strict=True):
        interpreter.resize_tensor_input(detail["index"], array.shape)
    interpreter.allocate_tensors()
    return list(interpreter.get_output_details())


def _split(content: bytes, details: list[dict[str, Any]], names: list[str]) -> Arrays:
    """The outputs, one after the other. Raises ValueError where there are more bytes, or fewer."""
    wanted = [(np.dtype(d["dtype"]), tuple(d["shape"])) for d in details]
    sizes = [dtype.itemsize * int(np.prod(shape)) for dtype, shape in wanted]
    if sum(sizes) != len(content):
        raise ValueError(
            f"benchmark_model gave {len(content)} bytes, and the outputs have {sum(sizes)}"
        )
    ends = np.cumsum(sizes)
    return {
        name: np.frombuffer(content[end - size : end], dtype).reshape(shape)
        for name, (dtype, shape), size, end in zip(names, wanted, sizes, ends, strict=True)
    }


def _adb(*words: str) -> str:
    done = subprocess.run(["adb", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines() or [f"exit {done.returncode}"]
        errors = [line for line in lines if "ERROR" in line or "rror:" in line]
        raise ValueError("adb: " + (errors or lines)[0])
    return done.stdout


if __name__ == "__main__":
    main()
