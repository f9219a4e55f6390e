"""A runner's process: a request in, an answer out, and an end in every case."""

import contextlib
import math
import os
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

from portproof.bundle import temporary, tensors
from portproof.bundle.tensors import Arrays
from portproof.bundle.text import printable
from portproof.runtimes.channel import Channel, ChannelError
from portproof.runtimes.protocol import (
    Answer,
    ProtocolError,
    Refusal,
    Request,
    read_answer,
    read_hello,
)
from portproof.sandbox.sandbox import KILLED_BY_KERNEL
from portproof.sandbox.sandbox import end as end_sandbox
from portproof.sandbox.usage import MAX_PROCESSES, family, memory_of

# In the environment of every process that a runner started: a browser leaves its parent's group.
_MARK = "PORTPROOF_RUNNER"
# Bytes of standard error that a runner may write, and those of them in which its last line is.
_MAX_STDERR, _LAST_WORDS = 64 << 20, 1 << 16
# A sandbox ends with the thread that started it (PR_SET_PDEATHSIG), so this one thread starts all.
_SPAWNER = ThreadPoolExecutor(1, "spawner")


class RunnerError(Exception):
    """A request that got no answer; its text is the reason in one line."""

    def __init__(self, reason: str) -> None:
        super().__init__(printable(reason))


class RunnerTimeoutError(RunnerError):
    """A request that was not answered in time."""


class RunnerGoneError(RunnerError):
    """What computes went away, and did not come back: nothing was computed, well or badly."""


@dataclass(frozen=True)
class Limits:
    """What a runner may use.

    Attributes:
        start: Seconds to start.
        request: Seconds for one request.
        memory: GiB of memory in all.
        until: The moment of `time.monotonic` at which it must have ended.
    """

    start: float = 180.0
    request: float = 120.0
    memory: float = 8.0
    until: float = math.inf

    def left(self, seconds: float) -> float:
        """So many seconds, or those that are left. Raises RunnerTimeoutError where none are."""
        left = min(seconds, self.until - time.monotonic())
        if left <= 0:
            raise RunnerTimeoutError("the time for all of it was over: --total-limit")
        return left


class RunnerProcess:
    """Starts `command` at the first request, and again at the next one after it died.

    Args:
        command: The program and its arguments.
        environment: Variables in addition to this process's own; all, where it is confined.
        limits: What it may use.
        confined: Whether the command runs the program in a sandbox.
    """

    def __init__(
        self,
        command: list[str],
        environment: Mapping[str, str],
        limits: Limits,
        *,
        confined: bool = False,
    ) -> None:
        self._command, self._environment, self._limits = command, environment, limits
        self._confined = confined
        self._process: _Process | None = None
        self._closed = False
        self.versions: dict[str, str] = {}

    def compute(
        self, request: Request, inputs: Arrays, largest: float = math.inf
    ) -> tuple[Answer | Refusal, Arrays]:
        """Have a request computed for these arrays: the answer, and the outputs where there are.

        Args:
            request: The request, without its size.
            inputs: Arrays by the artifact's own names.
            largest: How many bytes the outputs may have.

        Raises RunnerError where there is no answer; the process is gone then.
        """
        content = tensors.to_bytes(inputs)
        line = request.model_copy(update={"size": len(content)}).to_line()
        outputs: Arrays = {}
        try:
            self.start_if_needed()
            assert self._process is not None
            seconds = self._limits.left(self._limits.request)
            self._process.send(line.encode(), content, seconds)
            answer = read_answer(self._process.line(seconds))
            if isinstance(answer, Answer):
                content = self._process.content(answer.size, largest, seconds)
                outputs = tensors.from_bytes(content) if content else {}
        except (ProtocolError, ValueError) as error:
            self.stop()
            raise RunnerError(str(error)) from None
        except RunnerError:
            self.stop()
            raise
        if answer.restart:
            self.stop()
        return answer, outputs

    def start_if_needed(self) -> None:
        """Start the process, unless it runs. Raises RunnerError."""
        if self._process is None:
            try:
                self.start()
            except ProtocolError as error:
                self.stop()
                raise RunnerError(str(error)) from None
            except RunnerError:
                self.stop()
                raise

    def exchange(self, line: bytes, content: bytes) -> str:
        """Send something that is no request, and return the line that answers it."""
        assert self._process is not None
        seconds = self._limits.left(self._limits.request)
        self._process.send(line, content, seconds)
        return self._process.line(seconds)

    def start(self) -> None:
        """Start the process, and learn its versions. Raises RunnerError and ProtocolError."""
        if self._closed:
            raise RunnerError("stopped")
        try:
            self._process = _SPAWNER.submit(
                _Process,
                self._command,
                self._environment,
                self._limits.memory,
                confined=self._confined,
            ).result()
        except OSError as error:
            raise RunnerError(f"the runner cannot be started: {error.strerror}") from None
        if self._closed:  # from another thread, while it was being started
            raise RunnerError("stopped")
        seconds = self._limits.left(self._limits.start)
        self.versions = read_hello(self._process.line(seconds)).ready

    @property
    def peak_memory(self) -> int:
        """The most bytes of memory that were seen since `reset_peak_memory`."""
        if self._process is None:
            return 0
        self._process.measure_memory()
        return self._process.peak_memory

    def reset_peak_memory(self) -> None:
        if self._process:
            self._process.peak_memory = 0

    def stop(self) -> None:
        """End the process and all that it started. The next request starts a fresh one."""
        if self._process:
            self._process.end()
            self._process = None

    def close(self) -> None:
        """End for good, from another thread: what is under way fails, nothing is started again."""
        self._closed = True
        if process := self._process:
            process.kill()


class _Process:
    """One process, with a folder of its own for all temporary files."""

    def __init__(
        self,
        command: list[str],
        environment: Mapping[str, str],
        gibibytes: float,
        *,
        confined: bool,
    ) -> None:
        self._folder = Path(tempfile.mkdtemp(dir=temporary.root()))
        self._mark = uuid.uuid4().hex
        self._gibibytes, self._confined = gibibytes, confined
        self.peak_memory = 0
        self._channel = Channel(self._has_ended)
        marked = {"TMPDIR": str(self._folder), _MARK: self._mark}
        variables = environment if confined else {**os.environ, **environment, **marked}
        self._stderr = Path(self._folder, "stderr").open("w+b")  # noqa: SIM115
        try:
            self._process = subprocess.Popen(
                command,
                stdin=self._channel.theirs.fileno(),
                stdout=self._channel.theirs.fileno(),
                stderr=self._stderr,
                env=variables,
                start_new_session=True,  # so that Ctrl-C is ours, and its group ends with it
            )
        except OSError:
            self._channel.close()
            self._stderr.close()
            temporary.remove(self._folder)
            raise
        finally:
            self._channel.theirs.close()

    def _has_ended(self) -> bool:
        """Whether it has ended, though what it started may hold its standard output open.

        Raises RunnerError where it takes too much memory, starts too many, or prints too much.
        """
        if self._process.poll() is not None:
            return True
        started = family(self._process.pid)
        if len(started) > MAX_PROCESSES:
            raise RunnerError(f"started more than {MAX_PROCESSES} processes")
        if self._memory_of(started) > self._gibibytes * 2**30:
            raise RunnerError(f"passed the memory limit of {self._gibibytes:g} GiB")
        written = os.fstat(self._stderr.fileno())
        if max(written.st_size, written.st_blocks * 512) > _MAX_STDERR:
            raise RunnerError(f"wrote more than {_MAX_STDERR:,} bytes to standard error")
        return False

    def send(self, line: bytes, content: bytes, seconds: float) -> None:
        """Send a line and what follows it.

        Raises ProtocolError where the runner wrote something without being asked. It would be taken
        for the answer to this request, and each later answer for the next one's.
        """
        if unasked := self._channel.unasked():
            said = unasked[:200].decode(errors="replace").strip()
            raise ProtocolError(f"printed what no request asked for: {said}")
        try:
            self._channel.send(line, seconds)
            self._channel.send(content, seconds)
        except TimeoutError:
            raise RunnerTimeoutError(f"passed the time limit of {seconds:.3g} s") from None
        except OSError:  # it is gone: `line` finds out why
            pass

    def line(self, seconds: float) -> str:
        """The next line. Raises RunnerError where there is none within the limits."""
        return self._received(self._channel.line, seconds).decode(errors="replace")

    def content(self, size: int, largest: float, seconds: float) -> bytes:
        """So many bytes, at most `largest`. Raises as `line` does."""
        if size > min(largest, self._gibibytes * 2**30):
            raise RunnerError(f"announced an answer of {size:,} bytes, more than the outputs have")
        return self._received(partial(self._channel.content, size), seconds)

    def _received(self, receive: Callable[[float], bytes | None], seconds: float) -> bytes:
        try:
            received = receive(seconds)
        except TimeoutError:
            raise RunnerTimeoutError(f"passed the time limit of {seconds:.3g} s") from None
        except ChannelError as error:
            raise RunnerError(str(error)) from None
        if received is None:
            raise RunnerError(self._cause_of_death())
        return received

    def measure_memory(self) -> int:
        """Bytes that the process and all that it started have in memory."""
        return self._memory_of(family(self._process.pid))

    def _memory_of(self, processes: list[psutil.Process]) -> int:
        used = memory_of(processes)
        self.peak_memory = max(self.peak_memory, used)
        return used

    def _marked(self) -> list[psutil.Process]:
        """What the process started and left to others by dying first: a browser, say.

        In a sandbox nothing outlives the first process.
        """
        marked: list[psutil.Process] = []
        if self._confined:
            return marked
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get(_MARK) == self._mark:
                    marked.append(process)
        return marked

    def _cause_of_death(self) -> str:
        try:
            status = self._process.wait(5)
        except subprocess.TimeoutExpired:
            return "the runner closed its standard output"
        if self._confined and status - 128 in set(signal.Signals):
            status = 128 - status  # what runs it in the sandbox says it as a shell does
        end = f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        if status == -signal.SIGKILL:
            end += f", {KILLED_BY_KERNEL}"
        size = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, size - _LAST_WORDS))
        lines = self._stderr.read(_LAST_WORDS).decode(errors="replace").strip().splitlines()
        last = f": {lines[-1].strip()[:300]}" if lines else ""
        return f"the runner ended ({end}){last}"

    def kill(self) -> None:
        if self._confined:
            self._process.terminate()  # a sandbox ends what is in it
            return
        for process in family(self._process.pid):
            with contextlib.suppress(psutil.Error):
                process.kill()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def end(self) -> None:
        if self._confined:
            end_sandbox(self._process)
        else:
            self.kill()
        self._process.wait()
        for process in self._marked():
            with contextlib.suppress(psutil.Error):
                process.kill()
                process.wait(5)
        self._channel.close()
        self._stderr.close()
        temporary.remove(self._folder)
