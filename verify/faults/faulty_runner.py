"""A proxy between the verifier and a real runner, which adds one fault to the runner's answers.

The first argument names the fault. The other arguments are the real runner's command. The proxy
uses the same protocol as every runner, so it works with every runtime. It replaces the whole
process as the verifier sees it, and changes nothing inside the real runner.
"""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np

from portproof.bundle import tensors


def main() -> None:
    fault, *command = sys.argv[1:]
    runner = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert runner.stdin
    assert runner.stdout
    say(runner.stdout.readline())
    first_outputs: tensors.Arrays = {}
    number, current_artifact = 0, None
    sizes: set[int] = set()
    while line := sys.stdin.buffer.readline():
        request = json.loads(line)
        artifact = (request["artifact"], request["format"])
        number = number + 1 if artifact == current_artifact else 0
        first_outputs, current_artifact = (first_outputs if number else {}), artifact
        sizes = sizes if number else set()
        runner.stdin.write(line + sys.stdin.buffer.read(request["size"]))
        runner.stdin.flush()
        answer = json.loads(runner.stdout.readline())
        content = b""
        if "error" not in answer:
            outputs = tensors.from_bytes(runner.stdout.read(answer["size"]))
            first_outputs = first_outputs or outputs
            size = next(iter(outputs.values())).size
            if fault == "second call of a size" and size in sizes:
                outputs = {name: array + 1 for name, array in outputs.items()}
            sizes.add(size)
            answer = add_fault(fault, number, outputs, first_outputs, answer)
            content = tensors.to_bytes(outputs)
            answer["size"] = len(content)
        say(json.dumps(answer).encode() + b"\n" + content)


def say(content: bytes) -> None:
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


def add_fault(
    fault: str,
    number: int,
    outputs: tensors.Arrays,
    first_outputs: tensors.Arrays,
    answer: dict[str, object],
) -> dict[str, object]:
    """Add the fault to the outputs, to the answer or to this process.

    `number` counts the requests of one artifact from 0. The outputs are changed in place.
    """
    name = next(iter(outputs))
    match fault:
        case "first batch twice" if number:
            outputs.update(first_outputs)
        case "second call of a size":
            pass  # the outputs are off already
        case "one row" if outputs[name].size > 57:
            outputs[name][57] += 1
        case "extra output":
            outputs["more"] = outputs[name]
        case "empty":
            outputs[name] = outputs[name][:0]
        case "other backend":
            answer["backend"] = "another"
        case _:
            outputs[name] = miscomputed(fault, number, outputs[name])
            if number == 1:
                disrupt_process(fault)
    return answer


def miscomputed(fault: str, number: int, array: np.ndarray) -> np.ndarray:
    """The array with some elements off, or with its NaNs set to 0, as the fault says.

    A float is off by a thousandth, an integer by one.
    """
    rows = len(array) if array.ndim else 0
    off = array + 1 if array.dtype.kind in "iu" else array * array.dtype.type(1.001)
    match fault:
        case "one row by a thousandth" if rows > 5:
            return np.concatenate([array[:5], off[5:6], array[6:]])
        case "batches above one" if rows > 1:
            return off
        case "second call" if number == 1:
            return off
        case "nan to zero" if array.dtype.kind == "f":
            return np.where(np.isnan(array), array.dtype.type(0), array)
    return array


def disrupt_process(fault: str) -> None:
    """End this process, let it hang, or print a line that is not in the protocol."""
    match fault:
        case "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "exit":
            sys.exit("out of memory in kernel 7")
        case "hang":
            time.sleep(600)
        case "chatter":
            print("loading...", flush=True)


if __name__ == "__main__":
    main()
