"""The loop of a Python runner: a request in, an answer out, tensors in safetensors files."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from portproof.bundle import tensors
from portproof.bundle.errors import described
from portproof.bundle.tensors import Infer, row_by_row
from portproof.runtimes.protocol import VERSION, Answer, Hello, Refusal, Request


def serve(
    versions: dict[str, str],
    load: Callable[[Request], Infer],
    backend: Callable[[], str] = lambda: "",
) -> None:
    """See `portproof.serve`, which documents it."""
    # What a library prints must not be taken for an answer: standard output becomes standard error.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(message: Hello | Answer | Refusal) -> None:
        answers.write(message.to_line())
        answers.flush()

    say(Hello(ready=versions, protocol=VERSION))
    loaded = _Loaded(load)
    for line in sys.stdin:
        request = Request.model_validate_json(line)
        try:
            infer = loaded.infer(request)
            arrays = tensors.read(Path(request.inputs))
            started = time.perf_counter()
            outputs = (row_by_row(infer) if request.by_row else infer)(arrays)
            seconds = time.perf_counter() - started
            tensors.write(Path(request.outputs), outputs)
            fields = getattr(infer, "answer_fields", {})
            say(Answer(seconds=seconds, load=loaded.seconds, backend=backend(), **fields))
        except Exception as error:
            loaded.forget()
            say(Refusal(error=described(error, 400)))


class _Loaded:
    """The model that was loaded last, and how many seconds that took."""

    def __init__(self, load: Callable[[Request], Infer]) -> None:
        self._load = load
        self._key: Any = None
        self._infer: Infer | None = None
        self.seconds = 0.0

    def infer(self, request: Request) -> Infer:
        """The model that a request is for, loaded if it is another one than the last."""
        key = (
            request.artifact,
            request.format,
            request.signature,
            request.options,
            request.inspect,
        )
        if self._infer is None or key != self._key:
            self._infer = None  # the old model's memory, before the new one's
            started = time.perf_counter()
            self._infer = self._load(request)
            self._key, self.seconds = key, time.perf_counter() - started
        return self._infer

    def forget(self) -> None:
        self._infer = None
