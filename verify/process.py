"""A runner process: a JSON line in, a JSON line out, and an end in every case."""

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
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._stderr: IO[bytes] | None = None
        self._closed = False
        self.versions: dict[str, str] = {}

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send one request and wait for its answer. Raises RunnerError, the process then gone."""
        if self._process is None:
            self._start()
        assert self._process is not None and self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except OSError:
            pass  # it is gone; why is found out below
        answer = self._receive(self._limits.request)
        if answer.get("restart"):  # the runner does not trust itself any more
            self.stop()
        return answer

    def _start(self) -> None:
        if self._closed:
            raise RunnerError("stopped")
        self._stderr = tempfile.TemporaryFile()
        self._lines = queue.Queue()
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            start_new_session=True,  # so that its children can be ended with it
        )
        threading.Thread(
            target=_pump, args=(self._process.stdout, self._lines), daemon=True
        ).start()
        self.versions = self._receive(self._limits.start)["ready"]

    def _receive(self, seconds: float) -> dict[str, Any]:
        try:
            line = self._lines.get(timeout=seconds)
        except queue.Empty:
            self.stop()
            raise RunnerError(f"no answer within {seconds:g} s") from None
        if line is None:
            raise RunnerError(self._cause_of_death())
        try:
            answer = json.loads(line)
        except ValueError:
            self.stop()
            raise RunnerError(f"answered with what is not JSON: {line.strip()[:200]}") from None
        if not isinstance(answer, dict):
            self.stop()
            raise RunnerError(f"answered with what is not an object: {line.strip()[:200]}")
        return answer

    def _cause_of_death(self) -> str:
        assert self._process is not None and self._stderr is not None
        status = self._process.wait()
        self._stderr.seek(0)
        said = [line for line in self._stderr.read().decode(errors="replace").splitlines() if line]
        self.stop()
        if self._closed:
            return "stopped"
        end = f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        return f"the runner ended ({end})" + (f": {said[-1].strip()[:300]}" if said else "")

    def stop(self) -> None:
        """End the process and all that it started. The next request starts a fresh one."""
        if self._process is None:
            return
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._stderr):
            if stream:
                try:
                    stream.close()
                except OSError:
                    pass  # what was not written yet cannot be any more
        self._process = None

    def close(self) -> None:
        """End for good: a request that is under way fails, and no process is started again."""
        self._closed = True
        process = self._process
        if process is not None and process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def _pump(stream: IO[str], lines: "queue.Queue[str | None]") -> None:
    try:
        for line in stream:
            lines.put(line)
    except ValueError:
        pass  # closed while reading
    lines.put(None)
