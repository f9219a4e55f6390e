"""The loop of a Python runner: a JSON line in, a JSON line out, tensors in safetensors files."""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from bundle import errors, tensors
from bundle.tensors import Arrays

# Takes the artifact's own input names, gives its own output names.
Infer = Callable[[Arrays], Arrays]
Request = dict[str, Any]

# What of a request decides which model is loaded, and how.
_WHAT = ("artifact", "format", "signature", "options", "inspect")


def serve(
    versions: dict[str, str],
    load: Callable[[Request], Infer],
    backend: Callable[[], str] = lambda: "",
) -> None:
    """Answer requests until standard input ends.

    `load` is called when a request is for another artifact or signature than the last one, or when
    the last one failed. `backend` names what has computed, asked after each call. What it gives
    may have an `about`: more to say in every answer.
    """
    # What a library prints must not be taken for an answer: standard output becomes standard error.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    _say(answers, {"ready": versions})
    loaded: tuple[Any, Infer, float] | None = None
    for line in sys.stdin:
        request = json.loads(line)
        key = [request[name] for name in _WHAT]
        try:
            if loaded is None or loaded[0] != key:
                loaded = None  # the old model's memory, before the new one's
                started = time.perf_counter()
                infer = load(request)
                loaded = key, infer, time.perf_counter() - started
            infer = by_row(loaded[1]) if request["by_row"] else loaded[1]
            arrays = tensors.read(request["inputs"])
            started = time.perf_counter()
            outputs = infer(arrays)
            seconds = time.perf_counter() - started
            tensors.write(request["outputs"], outputs)
            about = getattr(loaded[1], "about", {})
            said = {"seconds": seconds, "load": loaded[2], "backend": backend()}
            _say(answers, {**said, **about})
        except Exception as error:
            loaded = None
            _say(answers, {"error": one_line(error)})


def by_row(infer: Infer) -> Infer:
    """Computes a batch a row at a time, for a runtime that takes only one."""

    def rows(inputs: Arrays) -> Arrays:
        count = len(next(iter(inputs.values())))
        if not count:
            raise ValueError("takes a row at a time, and this batch has none")
        made = [infer({n: a[i : i + 1] for n, a in inputs.items()}) for i in range(count)]
        return {name: np.concatenate([row[name] for row in made]) for name in made[0]}

    return rows


def one_line(error: BaseException) -> str:
    """An exception's kind and message, short enough for a table's footnote."""
    return f"{type(error).__name__}: {errors.one_line(error, 400) or 'no message'}"


def _say(answers: Any, answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()
