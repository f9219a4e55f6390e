"""A runner's process: a request in, an answer out, and an end in every case."""

import contextlib
import os
import queue
import signal
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil

from portproof.bundle import tensors
from portproof.bundle.tensors import Arrays
from portproof.runtimes.protocol import (
    Answer,
    ProtocolError,
    Refusal,
    Request,
    read_answer,
    read_hello,
)

# In the environment of every process that a runner started: a browser leaves its parent's group.
_MARK = "PORTPROOF_RUNNER"
_POLL = 0.2  # seconds between two looks at a runner's memory


class RunnerError(Exception):
    """A request that got no answer; its text is the reason in one line."""


@dataclass(frozen=True)
class Limits:
    """What a runner may use: seconds to start, seconds for one request, GiB of memory in all."""

    start: float = 180.0
    request: float = 120.0
    memory: float = 8.0


class RunnerProcess:
    """Starts `command` at the first request, and again at the next one after it died.

    Args:
        command: The program and its arguments.
        environment: Variables in addition to this process's own.
        limits: What it may use.
    """

    def __init__(self, command: list[str], environment: Mapping[str, str], limits: Limits) -> None:
        self._command, self._environment, self._limits = command, environment, limits
        self._process: _Process | None = None
        self._closed = False
        self.versions: dict[str, str] = {}

    def ask(self, request: Request) -> Answer | Refusal:
        """Send one request and wait for its answer.

        Raises RunnerError where there is none; the process is gone then.
        """
        try:
            if self._process is None:
                self._start()
            assert self._process is not None
            self._process.send(request.to_line())
            answer = read_answer(self._process.receive(self._limits.request, self._limits.memory))
        except ProtocolError as error:
            self.stop()
            raise RunnerError(str(error)) from None
        except RunnerError:
            self.stop()
            raise
        if answer.restart:
            self.stop()
        return answer

    def compute(self, request: Request, inputs: Arrays) -> tuple[Answer | Refusal, Arrays]:
        """Have a request computed for these arrays: the answer, and the outputs where there are.

        Args:
            request: The request, without its files.
            inputs: Arrays by the artifact's own names.

        Raises RunnerError as `ask` does.
        """
        with tempfile.TemporaryDirectory(prefix="portproof-") as scratch:
            files = {key: str(Path(scratch, f"{key}.safetensors")) for key in ("inputs", "outputs")}
            tensors.write(Path(files["inputs"]), inputs)
            answer = self.ask(request.model_copy(update=files))
            return answer, {} if isinstance(answer, Refusal) else tensors.read(
                Path(files["outputs"])
            )

    def _start(self) -> None:
        if self._closed:
            raise RunnerError("stopped")
        try:
            self._process = _Process(self._command, self._environment)
        except OSError as error:
            raise RunnerError(f"the runner cannot be started: {error.strerror}") from None
        if self._closed:  # from another thread, while it was being started
            raise RunnerError("stopped")
        line = self._process.receive(self._limits.start, self._limits.memory)
        self.versions = read_hello(line).ready

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

    def __init__(self, command: list[str], environment: Mapping[str, str]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="portproof-", ignore_cleanup_errors=True)
        self._mark = uuid.uuid4().hex
        self.peak_memory = 0
        added = {"TMPDIR": self._folder.name, _MARK: self._mark}
        self._stderr = Path(self._folder.name, "stderr").open("w+b")  # noqa: SIM115
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                env={**os.environ, **environment, **added},
                encoding="utf-8",
                errors="replace",
                start_new_session=True,  # so that Ctrl-C is ours, and its group ends with it
            )
        except OSError:
            self._stderr.close()
            self._folder.cleanup()
            raise
        assert self._process.stdin
        assert self._process.stdout
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._stdout:
            self._lines.put(line)
        self._lines.put(None)

    def send(self, line: str) -> None:
        """Send a line. Raises ProtocolError where the runner printed one without being asked.

        It would be taken for the answer to this request, and each later answer for the next one's.
        """
        if not self._lines.empty() and (unasked := self._lines.queue[0]) is not None:
            raise ProtocolError(f"printed what no request asked for: {unasked.strip()[:200]}")
        with contextlib.suppress(OSError):  # it is gone: `receive` finds out why
            self._stdin.write(line)
            self._stdin.flush()

    def receive(self, seconds: float, gibibytes: float) -> str:
        """The next line. Raises RunnerError where there is none within the limits."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                line = self._lines.get(timeout=min(_POLL, left))
            except queue.Empty:
                # What it started may hold its standard output open after it has died.
                if self._process.poll() is not None and self._lines.empty():
                    line = None
                elif self.measure_memory() > gibibytes * 2**30:
                    raise RunnerError(f"passed the memory limit of {gibibytes:g} GiB") from None
                else:
                    continue
            if line is None:
                raise RunnerError(self._cause_of_death())
            return line
        raise RunnerError(f"passed the time limit of {seconds:g} s")

    def measure_memory(self) -> int:
        """Bytes that the process and all that it started have in memory."""
        total = 0
        for process in self._family():
            with contextlib.suppress(psutil.Error):
                total += process.memory_info().rss
        self.peak_memory = max(self.peak_memory, total)
        return total

    def _family(self) -> list[psutil.Process]:
        """The process and its descendants."""
        try:
            process = psutil.Process(self._process.pid)
            return [process, *process.children(recursive=True)]
        except psutil.Error:
            return []

    def _marked(self) -> list[psutil.Process]:
        """What the process started and left to others by dying first: a browser, say."""
        marked = []
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
        end = f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").strip().splitlines()
        return f"the runner ended ({end})" + (f": {lines[-1].strip()[:300]}" if lines else "")

    def kill(self) -> None:
        for process in self._family():
            with contextlib.suppress(psutil.Error):
                process.kill()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def end(self) -> None:
        self.kill()
        self._process.wait()
        for process in self._marked():
            with contextlib.suppress(psutil.Error):
                process.kill()
                process.wait(5)
        self._reader.join(5)
        streams: list[IO[Any]] = [self._stdin, self._stderr]
        if not self._reader.is_alive():  # else the pipe is held by a process that we may not end
            streams.append(self._stdout)
        for stream in streams:
            with contextlib.suppress(OSError):  # what was not written can no longer be
                stream.close()
        self._folder.cleanup()
