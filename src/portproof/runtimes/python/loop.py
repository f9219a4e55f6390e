"""The loop of a Python runner: a request in, an answer out."""

import os
import time
from collections.abc import Callable
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
    # What a library prints must not be taken for an answer, and it has nothing to read.
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)

    def say(message: Hello | Answer | Refusal, content: bytes = b"") -> None:
        answers.write(message.to_line().encode())
        answers.write(content)
        answers.flush()

    say(Hello(ready=versions, protocol=VERSION))
    loaded = _Loaded(load)
    while line := requests.readline():
        request = Request.model_validate_json(line)
        content = requests.read(request.size)
        try:
            infer = loaded.infer(request)
            arrays = tensors.from_bytes(content)
            started = time.perf_counter()
            outputs = (row_by_row(infer) if request.by_row else infer)(arrays)
            seconds = time.perf_counter() - started
            content = tensors.to_bytes(outputs)
            fields = getattr(infer, "answer_fields", {})
            fields = {"load": loaded.seconds, "backend": backend(), "size": len(content), **fields}
            say(Answer(seconds=seconds, **fields), content)
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
            request.nodes,
        )
        if self._infer is None or key != self._key:
            self._infer = None  # the old model's memory, before the new one's
            started = time.perf_counter()
            self._infer = self._load(request)
            self._key, self.seconds = key, time.perf_counter() - started
        return self._infer

    def forget(self) -> None:
        self._infer = None
