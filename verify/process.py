"""A runner process: a JSON line in, a JSON line out, and an end in every case."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from typing import IO, Any


class RunnerError(Exception):
    """A request that got no answer; its text is the reason in one line."""


@dataclass(frozen=True)
class Limits:
    """Seconds that a runner may take to start, and to answer one request."""

    start: float = 180.0
    request: float = 120.0


class RunnerProcess:
    """Starts `command` at the first request, and anew at the next one after it died.

    The first line that a runner prints is `{"ready": {...}}`, with the versions of what it runs.
    """

    def __init__(self, command: list[str], limits: Limits) -> None:
        self._command, self._limits = command, limits
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
            answer = self._live.receive(self._limits.request)
        except RunnerError:
            self.stop()
            raise
        if answer.get("restart"):  # the runner does not trust itself any more
            self.stop()
        return answer

    def _start(self) -> None:
        if self._closed:
            raise RunnerError("stopped")
        self._live = _Live(self._command)
        self.versions = self._live.receive(self._limits.start)["ready"]

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
    """One process that runs."""

    def __init__(self, command: list[str]) -> None:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  closed in `end`
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            start_new_session=True,  # so that what it starts can be ended with it
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

    def receive(self, seconds: float) -> dict[str, Any]:
        try:
            line = self._lines.get(timeout=seconds)
        except queue.Empty:
            raise RunnerError(f"no answer within {seconds:g} s") from None
        if line is None:
            raise RunnerError(self._cause_of_death())
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise RunnerError(f"answered with what is not a JSON object: {line.strip()[:200]}")
        return answer

    def _cause_of_death(self) -> str:
        status = self._process.wait()
        end = f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        self._stderr.seek(0)
        said = self._stderr.read().decode(errors="replace").strip().splitlines()
        return f"the runner ended ({end})" + (f": {said[-1].strip()[:300]}" if said else "")

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def end(self) -> None:
        self.kill()
        self._process.wait()
        self._reader.join()
        streams: tuple[IO[Any], ...] = (self._stdin, self._stdout, self._stderr)
        for stream in streams:
            with contextlib.suppress(OSError):  # what was not written can no more be
                stream.close()
