"""A browser that came by the link: a runner whose answers come over the network."""

import math
import secrets
import threading
import time
from dataclasses import dataclass, field

from portproof.bundle import tensors
from portproof.bundle.tensors import Arrays
from portproof.bundle.text import printable
from portproof.runtimes.process import RunnerError, RunnerGoneError, RunnerTimeoutError
from portproof.runtimes.protocol import (
    Answer,
    ProtocolError,
    Refusal,
    Request,
    read_answer,
)

# What is asked when the page went away is asked once more when it comes back, and no more: it may
# be what the page dies of.
TRIES = 2
# Bytes of an answer's line, and characters of what it says in words: a report has a limit too.
MAX_LINE, _MAX_WORDS = 1 << 16, 2000


def answer_of(line: bytes) -> Answer | Refusal:
    """What a device says of a task. Raises ProtocolError where it is no answer, or too long."""
    if len(line) > MAX_LINE:
        raise ProtocolError("its line is too long")
    answer = read_answer(line.decode(errors="replace"))
    words = "error" if isinstance(answer, Refusal) else "note"
    return answer.model_copy(update={words: getattr(answer, words)[:_MAX_WORDS]})


@dataclass
class Task:
    """One request that a device is asked for.

    Attributes:
        number: Which one.
        request: The request.
        inputs: Its inputs as safetensors.
        largest: How many bytes the outputs may have.
        answer: What came of it.
        taken: Whether the page has it.
        lost: Whether it went away with the page.
    """

    number: int
    request: Request
    inputs: bytes
    largest: float
    answer: tuple[Answer | Refusal, bytes] | None = None
    taken: bool = False
    lost: bool = False


@dataclass
class Device:
    """One device. Its page asks for one task after another, and may go away and come back.

    Attributes:
        name: Its name among hosts.
        agent: What its browser says that it is.
        versions: Its GPU's adapters, as the page sees them.
        limit: Seconds for one task.
        patience: Seconds that it is waited for when it is not there.
        key: What its page names it by, which nobody else knows.
        identity: What tells it from others of its name, in reports.
        closed: Whether it is not asked any more.
    """

    name: str
    agent: str
    versions: dict[str, str]
    limit: float = 120.0
    patience: float = 600.0
    key: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    identity: str = field(default_factory=lambda: secrets.token_hex(8))
    _task: Task | None = None
    _numbers: int = 0
    _page: int = 0
    _polls: int = 0
    _finished: bool = False
    _told: bool = False
    closed: bool = False

    def __post_init__(self) -> None:
        self._changed = threading.Condition()
        self._last_seen = time.monotonic()

    # What the server calls, for the page.

    def opened(self) -> int:
        """The page was opened, for the first time or again. Returns its number."""
        with self._changed:
            self._page += 1
            self._last_seen = time.monotonic()
            self._lose_task()  # the page that had it is gone
            self._changed.notify_all()
            return self._page

    def left(self, page: int) -> None:
        """A page was closed."""
        with self._changed:
            if page == self._page:
                self._lose_task()
                self._changed.notify_all()

    def _lose_task(self) -> None:
        if self._task and self._task.taken and not self._task.answer:
            self._task.lost = True

    def is_current(self, page: int) -> bool:
        """Whether a page is the one that was opened last."""
        return page == self._page

    def next(self, page: int, seconds: float) -> Task | None:
        """The task that the page is to compute, for which it waits so long; None: none yet.

        A page that asks once more ends its earlier wait: one waits at a time.
        """
        with self._changed:
            self._last_seen = time.monotonic()
            self._polls = mine = self._polls + 1
            self._changed.notify_all()

            def is_over() -> bool:
                ended = self._finished or self.closed
                return ended or page != self._page or mine != self._polls

            self._changed.wait_for(lambda: self._open_task() or is_over(), seconds)
            task = self._open_task()
            if task and not is_over():
                task.taken = True
                return task
            return None

    def _open_task(self) -> Task | None:
        task = self._task
        return task if task and not task.taken and not task.lost else None

    def task(self, number: int) -> Task | None:
        """The task of this number, if it is the one that the device was asked for last."""
        task = self._task
        return task if task and task.number == number and task.answer is None else None

    def answered(self, task: Task, content: bytes) -> None:
        """Take an answer: a line, and the outputs behind it. Raises ProtocolError."""
        line, _, outputs = content.partition(b"\n")
        answer = answer_of(line)
        with self._changed:
            task.answer = answer, outputs
            self._last_seen = time.monotonic()
            self._changed.notify_all()

    # What the verifier calls, as of any runner.

    def start_if_needed(self) -> None:
        """Nothing: its versions are what its page says."""

    def compute(
        self, request: Request, inputs: Arrays, largest: float = math.inf
    ) -> tuple[Answer | Refusal, Arrays]:
        """See `Runner.compute`. Raises RunnerGoneError where nobody is there to answer."""
        content = tensors.to_bytes(inputs)
        for _ in range(TRIES):
            self._numbers += 1
            task = Task(self._numbers, request, content, largest)
            if self._is_answered(task):
                return _read(task)
        raise RunnerError("the page went away while it computed this, twice")

    def _is_answered(self, task: Task) -> bool:
        """Whether the device answers a task, and does not go away with it. Raises RunnerError."""
        with self._changed:
            self._task = task
            self._changed.notify_all()
            asked = time.monotonic()
            while task.answer is None:
                if self.closed:
                    raise RunnerGoneError("it was ended before the device had computed this")
                if task.lost:
                    self._task = None
                    return False
                now = time.monotonic()
                if task.taken:
                    left = asked + self.limit - now
                    if left <= 0:
                        self._task = None
                        raise RunnerTimeoutError(f"passed the time limit of {self.limit:.3g} s")
                else:
                    asked = now
                    left = self._last_seen + self.patience - now
                    if left <= 0:
                        self._task = None
                        raise RunnerGoneError("the device went away: open the link again")
                self._changed.wait(min(left, 1.0))
            self._task = None
            return True

    @property
    def peak_memory(self) -> int:
        """A page does not know."""
        return 0

    def reset_peak_memory(self) -> None:
        """Nothing: see `peak_memory`."""

    def stop(self) -> None:
        """Nothing: the page stays open."""

    def close(self) -> None:
        with self._changed:
            self.closed = True
            self._changed.notify_all()

    def finish(self) -> None:
        """All is computed: the page need not wait for another task."""
        with self._changed:
            self._finished = True
            self._changed.notify_all()

    def told(self) -> None:
        """The page is given its verdict."""
        with self._changed:
            self._told = True
            self._changed.notify_all()

    def wait_until_told(self, seconds: float) -> None:
        """Wait, if all is computed, until the page has asked for its verdict, or so long."""
        with self._changed:
            self._changed.wait_for(lambda: self._told or not self._finished, max(seconds, 0))


def _read(task: Task) -> tuple[Answer | Refusal, Arrays]:
    assert task.answer
    answer, content = task.answer
    if isinstance(answer, Refusal):
        return answer, {}
    try:
        return answer, tensors.from_bytes(content)
    except ValueError as error:
        raise RunnerError(printable(str(error))) from None
