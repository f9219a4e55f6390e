"""Formats that are made of the SavedModel alone, written in processes beside this one.

TensorFlow's converters hold one core each and Python's lock, and some end their process. `main` is
such a process: it reads pickled tasks from standard input, and writes what became of them to
standard output.
"""

import atexit
import os
import pickle
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from portproof.bundle import temporary
from portproof.bundle.errors import ExportError
from portproof.formats import litert_kernels
from portproof.formats.format import Format, Refusal, Written
from portproof.quiet import BESIDE, check_tensorflow, start_tensorflow
from portproof.sources.source import SavedSource

# Bytes that a process may take: TensorFlow's own, and so many times the model's weights. Measured
# with 0.5 and 2.4 GB of weights: a conversion took 10 times, the oracle 6 to 7 times.
_TENSORFLOW, _COPIES, _ORACLE_COPIES = 1 << 30, 10, 7
# Seconds after which processes without work end.
_IDLE = 30.0
# Seconds that a process has to end by itself.
_PATIENCE = 2.0


class Converters:
    """The processes. One starts at once, for TensorFlow's start takes seconds."""

    def __init__(self) -> None:
        self._idle: queue.SimpleQueue[_Process] = queue.SimpleQueue()
        self._all: list[_Process] = []
        self._ended = False
        self._lock = threading.Lock()
        self._idle.put(self._new())

    def end(self) -> None:
        """End the processes, and what they were doing. None is started any more."""
        with self._lock:
            self._ended = True
        for process in self._all:
            process.end()

    def end_idle(self) -> None:
        """End the processes that have nothing to do, and hold memory all the same."""
        with suppress(queue.Empty):
            while True:
                self._idle.get_nowait().end()

    def start(
        self, formats: Sequence[Format], source: SavedSource, root: Path, threads: Executor
    ) -> Future[list[Written | Refusal]]:
        """Begin to write some formats, one after the other in one process.

        Args:
            formats: Formats that are `of_saved_model`: those of one name, of which the later ones
                begin where the first one ended.
            source: What the SavedModel is converted with.
            root: The bundle's folder.
            threads: What waits for them. There are as many processes at work as it has threads.
        """
        return threads.submit(self._convert, formats, source, root)

    def _convert(
        self, formats: Sequence[Format], source: SavedSource, root: Path
    ) -> list[Written | Refusal]:
        results: list[Written | Refusal] = []
        process = self._living()
        for format_ in formats:
            if not process.is_alive:
                process = self._living()
            results.append(process.convert(format_, source, root))
        self._idle.put(process)
        return results

    def _living(self) -> "_Process":
        with suppress(queue.Empty):
            while not (process := self._idle.get_nowait()).is_alive:
                process.end()
            return process
        return self._new()

    def _new(self) -> "_Process":
        with self._lock:
            if self._ended:
                raise ExportError("the export has ended")
            process = _Process()
            self._all.append(process)
            return process


def number_for(weights: int) -> int:
    """How many formats to convert at once, of a model with so many bytes of weights.

    One core is this process's own, which computes test vectors meanwhile.
    """
    fitting = int(psutil.virtual_memory().available // (_TENSORFLOW + _COPIES * weights))
    return max(1, min((os.cpu_count() or 1) - 1, fitting))


def fits_beside_oracle(weights: int) -> bool:
    """Whether there is memory for a conversion while the test vectors are computed.

    Args:
        weights: The bytes of the model's weights.
    """
    needed = _TENSORFLOW + (_COPIES + _ORACLE_COPIES) * weights
    return bool(psutil.virtual_memory().available > needed)


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
                if not self._users:
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
        # A folder of its own, for what is left there if it is killed.
        self._folder = tempfile.TemporaryDirectory(dir=temporary.root())
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **BESIDE, "TMPDIR": self._folder.name},
            start_new_session=True,  # so that Ctrl-C is ours
        )
        with suppress(OSError):  # it is dead: the first task will tell
            self._send(pickle.dumps(sys.path))

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def convert(self, format_: Format, source: SavedSource, root: Path) -> Written | Refusal:
        """Write a format, which the end of the process refuses."""
        try:
            task = pickle.dumps((format_, source, root))
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            reason = f"its writer runs in another process, and cannot be sent there: {error}"
            return Refusal(reason, is_told=True)
        assert self._process.stdout
        try:
            self._send(task)
            result: Written | Refusal = pickle.load(self._process.stdout)
        except (OSError, EOFError, pickle.UnpicklingError):
            self.end()
            return Refusal(f"TensorFlow's converter ended its process ({self._cause()})")
        return result

    def _send(self, content: bytes) -> None:
        assert self._process.stdin
        self._process.stdin.write(content)
        self._process.stdin.flush()

    def _cause(self) -> str:
        status = self._process.wait()
        return signal.Signals(-status).name if status < 0 else f"exit status {status}"

    def end(self) -> None:
        """End the process, if it has not ended by itself, and remove what it left."""
        if self._process.stdin:
            with suppress(OSError):  # what was not written can no longer be
                self._process.stdin.close()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        self._folder.cleanup()


# The process has the paths of the one that starts it, as a person's script may have set them.
_PROGRAM = """
import pickle, sys
sys.path[:] = pickle.load(sys.stdin.buffer)
from portproof.formats.converting import main
main()
"""


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
