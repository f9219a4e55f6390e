"""A runner process: a JSON line in, a JSON line out, and an end in every case."""

import contextlib
import json
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

_MARK = "PORTPROOF_RUNNER"
_LOOK = 0.2  # seconds between two looks at a runner's memory


class RunnerError(Exception):
    """A request that got no answer; its text is the reason in one line."""


@dataclass(frozen=True)
class Limits:
    """What a runner may use: seconds to start, seconds for one request, GiB of memory in all."""

    start: float = 180.0
    request: float = 120.0
    memory: float = 8.0


class RunnerProcess:
    """Starts `command` at the first request, and anew at the next one after it died.

    The first line that a runner prints is `{"ready": {...}}`, with the versions of what it runs.
    """

    def __init__(self, command: list[str], environment: Mapping[str, str], limits: Limits) -> None:
        self._command, self._environment, self._limits = command, environment, limits
        self._live: _Live | None = None
        self._closed = False
        self.versions: dict[str, str] = {}

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send one request and wait for its answer. Raises RunnerError, the process then gone."""
        try:
            if self._live is None:
                self._start()
            assert self._live is not None
            self._live.send(json.dumps(request))
            answer = self._live.receive(self._limits.request, self._limits.memory)
        except RunnerError:
            self.stop()
            raise
        if answer.get("restart"):  # the runner does not trust itself any more
            self.stop()
        return answer

    def _start(self) -> None:
        if self._closed:
            raise RunnerError("stopped")
        try:
            self._live = _Live(self._command, self._environment)
        except OSError as error:
            raise RunnerError(f"the runner cannot be started: {error.strerror}") from None
        if self._closed:  # from another thread, while it was being started
            raise RunnerError("stopped")
        hello = self._live.receive(self._limits.start, self._limits.memory)
        if "ready" not in hello:
            raise RunnerError(str(hello.get("error", "did not say that it is ready")))
        self.versions = hello["ready"]

    @property
    def peak(self) -> int:
        """Bytes of memory, the most that were seen since `forget`; now, or during a request."""
        if self._live is None:
            return 0
        self._live.look()
        return self._live.peak

    def forget(self) -> None:
        if self._live:
            self._live.peak = 0

    def stop(self) -> None:
        """End the process and all that it started. The next request starts a fresh one."""
        if self._live:
            self._live.end()
            self._live = None

    def close(self) -> None:
        """End for good, from another thread: what is under way fails, nothing is started again."""
        self._closed = True
        if live := self._live:
            live.kill()


class _Live:
    """One process that runs, with a folder of its own for all temporary files."""

    def __init__(self, command: list[str], environment: Mapping[str, str]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="portproof-", ignore_cleanup_errors=True)
        self._mark = uuid.uuid4().hex
        self.peak = 0
        own = {"TMPDIR": self._folder.name, _MARK: self._mark}
        self._stderr = Path(self._folder.name, "stderr").open("w+b")  # noqa: SIM115
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env={**os.environ, **environment, **own},
            encoding="utf-8",
            errors="replace",
            start_new_session=True,  # so that Ctrl-C is ours, and its group can be ended with it
        )
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
        with contextlib.suppress(OSError):  # it is gone: `receive` finds out why
            self._stdin.write(line + "\n")
            self._stdin.flush()

    def receive(self, seconds: float, gibibytes: float) -> dict[str, Any]:
        line = self._wait_for_line(seconds, gibibytes)
        if line is None:
            raise RunnerError(self._cause_of_death())
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise RunnerError(f"answered with what is not a JSON object: {line.strip()[:200]}")
        return answer

    def _wait_for_line(self, seconds: float, gibibytes: float) -> str | None:
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                return self._lines.get(timeout=min(_LOOK, left))
            except queue.Empty:
                # What it started may hold its standard output open after it has died.
                if self._process.poll() is not None and self._lines.empty():
                    return None
                if self.look() > gibibytes * 2**30:
                    raise RunnerError(f"passed the memory limit of {gibibytes:g} GiB") from None
        raise RunnerError(f"passed the time limit of {seconds:g} s")

    def look(self) -> int:
        """Bytes that the process and all that it started have in memory."""
        total = 0
        for process in self._family():
            with contextlib.suppress(psutil.Error):
                total += process.memory_info().rss
        self.peak = max(self.peak, total)
        return total

    def _family(self) -> list[psutil.Process]:
        """The process and its descendants."""
        try:
            own = psutil.Process(self._process.pid)
            return [own, *own.children(recursive=True)]
        except psutil.Error:
            return []

    def _marked(self) -> list[psutil.Process]:
        """What the process started and left to others by dying first: a browser, say."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get(_MARK) == self._mark:
                    found.append(process)
        return found

    def _cause_of_death(self) -> str:
        status = self._process.wait()
        end = f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        self._stderr.seek(0)
        said = self._stderr.read().decode(errors="replace").strip().splitlines()
        return f"the runner ended ({end})" + (f": {said[-1].strip()[:300]}" if said else "")

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
        if not self._reader.is_alive():  # else someone holds the pipe whom we may not end
            streams.append(self._stdout)
        for stream in streams:
            with contextlib.suppress(OSError):  # what was not written can no more be
                stream.close()
        self._folder.cleanup()
