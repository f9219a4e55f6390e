"""Stands between the verifier and a real runner, and does wrong what its first argument says.

The rest of the arguments is the real runner's command. Speaks the runners' own contract, so it
serves for every runtime: as a proxy of the process, not of anything inside it.
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
    real = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert real.stdin
    assert real.stdout
    print(real.stdout.readline(), end="", flush=True)
    first: tensors.Arrays = {}
    number, trial = 0, None
    for line in sys.stdin:
        request = json.loads(line)
        key = (request["artifact"], request["format"])
        number = number + 1 if key == trial else 0
        first, trial = (first if number else {}), key
        real.stdin.write(line)
        real.stdin.flush()
        answer = json.loads(real.stdout.readline())
        if "error" not in answer:
            outputs = tensors.read(request["outputs"])
            first = first or outputs
            answer = spoil(fault, number, outputs, first, answer)
            tensors.write(request["outputs"], outputs)
        print(json.dumps(answer), flush=True)


def spoil(
    fault: str,
    number: int,
    outputs: tensors.Arrays,
    first: tensors.Arrays,
    answer: dict[str, object],
) -> dict[str, object]:
    """Change the outputs of an artifact's request `number`, or its answer, or end this process."""
    name = next(iter(outputs))
    match fault:
        case "first batch twice" if number:
            outputs.update(first)
        case "second call of a size" if number == 4:  # batch-1-again
            outputs[name] = outputs[name] + 1
        case "one row" if outputs[name].size > 100:
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
                disturb(fault)
    return answer


def miscomputed(fault: str, number: int, array: np.ndarray) -> np.ndarray:
    """Some of it off by a thousandth, an integer by one; or without its NaNs."""
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


def disturb(fault: str) -> None:
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
