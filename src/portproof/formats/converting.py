"""Formats that are made of the SavedModel alone, written in processes beside this one.

TensorFlow's converters hold one core each and Python's lock, and some end their process. As a
program, this is such a process: it reads pickled tasks from standard input, and writes what became
of them to standard output.
"""

import atexit
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from pathlib import Path

import psutil

from portproof.formats import litert_kernels
from portproof.formats.format import Format, Refusal, Written
from portproof.quiet import check_tensorflow, start_tensorflow
from portproof.sources.source import SavedSource

# Bytes that a process may take: TensorFlow's own, and so many times the model's weights.
_TENSORFLOW, _COPIES = 1 << 30, 6
# Seconds after which processes without work end.
_IDLE = 30.0
_PACKAGE = Path(__file__).parents[1]


class Converters:
    """The processes. One starts at once, for TensorFlow's start takes seconds."""

    def __init__(self) -> None:
        self._idle: queue.SimpleQueue[_Process] = queue.SimpleQueue()
        self._all: list[_Process] = []
        self._add()

    def end(self) -> None:
        """End the processes, and what they were doing."""
        for process in self._all:
            process.end()

    def start(
        self, format_: Format, source: SavedSource, root: Path, threads: Executor
    ) -> Future[Written | Refusal]:
        """Begin to write a format.

        Args:
            format_: The format, which is `of_saved_model`.
            source: What the SavedModel is converted with.
            root: The bundle's folder.
            threads: What waits for it. There are as many processes at work as it has threads.
        """
        return threads.submit(self._convert, format_, source, root)

    def _convert(self, format_: Format, source: SavedSource, root: Path) -> Written | Refusal:
        try:
            process = self._idle.get_nowait()
        except queue.Empty:
            self._add()
            process = self._idle.get()
        result = process.convert(format_, source, root)
        if process.is_alive:
            self._idle.put(process)
        return result

    def _add(self) -> None:
        process = _Process()
        self._all.append(process)
        self._idle.put(process)


def number_for(weights: int) -> int:
    """How many formats to convert at once, of a model with so many bytes of weights.

    One core is this process's own, which computes test vectors meanwhile.
    """
    fitting = int(psutil.virtual_memory().available // (_TENSORFLOW + _COPIES * weights))
    return max(1, min((os.cpu_count() or 1) - 1, fitting))


class _Shared:
    """The one set of processes, which stays for a while for the next export."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._converters: Converters | None = None
        self._users = 0
        self._ending: threading.Timer | None = None

    @contextmanager
    def used(self) -> Iterator[Converters]:
        with self._lock:
            if self._ending:
                self._ending.cancel()
            self._converters = self._converters or Converters()
            self._users += 1
        try:
            yield self._converters
        except BaseException:  # nobody waits for what they are doing
            with self._lock:
                if self._converters:
                    self._converters.end()
                    self._converters = None
            raise
        finally:
            with self._lock:
                self._users -= 1
                self._ending = threading.Timer(_IDLE, self.end)
                self._ending.daemon = True
                self._ending.start()

    def end(self) -> None:
        """End the processes, unless an export uses them."""
        with self._lock:
            if self._users:
                return
            if self._converters:
                self._converters.end()
                self._converters = None
            litert_kernels.stop()


_shared = _Shared()
atexit.register(_shared.end)


@contextmanager
def converters_for(formats: Sequence[Format]) -> Iterator[Converters | None]:
    """The processes, if one of the formats needs them: they stay for a while after the block."""
    if not any(format_.of_saved_model for format_ in formats):
        yield None
        return
    check_tensorflow()
    with _shared.used() as converters:
        yield converters


class _Process:
    """One process, which does one task after another."""

    def __init__(self) -> None:
        paths = [str(_PACKAGE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            start_new_session=True,  # so that Ctrl-C is ours
        )

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def convert(self, format_: Format, source: SavedSource, root: Path) -> Written | Refusal:
        """Write a format, which the end of the process refuses."""
        assert self._process.stdin
        assert self._process.stdout
        try:
            pickle.dump((format_, source, root), self._process.stdin)
            self._process.stdin.flush()
            result: Written | Refusal = pickle.load(self._process.stdout)
        except (OSError, EOFError, pickle.UnpicklingError):
            self.end()
            return Refusal(f"TensorFlow's converter ended its process ({self._cause()})")
        return result

    def _cause(self) -> str:
        status = self._process.wait()
        return signal.Signals(-status).name if status < 0 else f"exit status {status}"

    def end(self) -> None:
        """End the process, if it has not ended by itself."""
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()


def main() -> None:
    """Do tasks until standard input ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a converter prints is no answer
    # Its warnings are of its own making: a line for each node that its optimizer cannot cost.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    start_tensorflow()
    from portproof.formats.refusals import attempt

    while True:
        try:
            format_, source, root = pickle.load(sys.stdin.buffer)
        except EOFError:
            litert_kernels.stop()
            return
        pickle.dump(attempt(format_, source, root), answers)
        answers.flush()


if __name__ == "__main__":
    main()
