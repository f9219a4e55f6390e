"""What stands for adb and an Android device: files in a folder, and LiteRT in this Python.

It takes the commands that the runner gives, and answers as adb and `benchmark_model` do.
"""

import os
import re
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np


def main(root: Path, command: str, *words: str) -> int:
    if command == "push":
        shutil.copyfile(words[0], root / words[1].lstrip("/"))
    elif command == "pull":
        shutil.copyfile(root / words[0].lstrip("/"), words[1])
    else:
        return _shell(root, words[0])
    return 0


def _shell(root: Path, line: str) -> int:
    if line.startswith("test -x "):
        print("here" if (root / line.split()[2].lstrip("/")).exists() else "")
    elif line.startswith("mkdir -p "):
        (root / line.split()[-1].lstrip("/")).mkdir(parents=True, exist_ok=True)
    elif line.startswith("rm -rf "):
        shutil.rmtree(root / line.split()[-1].lstrip("/"))
    elif line.startswith("getprop "):
        print("Pretend 9")
    else:
        return _benchmark_model(root, shlex.split(line.partition(";")[2]))
    return 0


def _benchmark_model(root: Path, words: list[str]) -> int:
    from ai_edge_litert.interpreter import Interpreter

    flags: dict[str, str] = dict(re.findall(r"^--(\w+)=(.*)$", "\n".join(words), re.MULTILINE))
    interpreter = Interpreter(str(root / flags["graph"].lstrip("/")))
    shapes = [tuple(map(int, s.split(","))) for s in flags["input_layer_shape"].split(":")]
    for detail, shape in zip(interpreter.get_input_details(), shapes, strict=True):
        interpreter.resize_tensor_input(detail["index"], shape)
    interpreter.allocate_tensors()
    files = [item.split(":")[1] for item in flags["input_layer_value_files"].split(",")]
    for detail, file in zip(interpreter.get_input_details(), files, strict=True):
        content = (root / file.lstrip("/")).read_bytes()
        array = np.frombuffer(content, detail["dtype"]).reshape(detail["shape"])
        interpreter.set_tensor(detail["index"], array)
    interpreter.invoke()
    outputs = [interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()]
    content = b"".join(output.tobytes() for output in outputs)
    if os.environ.get("ANDROID_SERIAL") == "damaged":
        content = content[:-1]
    (root / flags["output_filepath"].lstrip("/")).write_bytes(content)
    print("Inference timings in us: Init: 5, First inference: 9, Inference (avg): 7.5")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
