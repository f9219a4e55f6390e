"""The runtimes of another machine, reached by ssh: `--on user@board`.

Whoever uses it logs in there without a password, and has Portproof installed there.
"""

import io
import math
import os
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from portproof.bundle.archives import pack_files
from portproof.bundle.errors import UsageError
from portproof.bundle.reading import parsed
from portproof.bundle.report import Environment, Report
from portproof.bundle.tensors import Arrays
from portproof.bundle.text import printable
from portproof.runtimes.process import Limits, RunnerError, RunnerProcess
from portproof.runtimes.protocol import VERSION, Answer, ProtocolError, Refusal, Request
from portproof.runtimes.remote import Description, Files
from portproof.runtimes.runtime import Runtime

if TYPE_CHECKING:
    from portproof.sandbox.sandbox import Sandbox

# No question is asked that nobody would answer, and a board that is off is not waited for.
_OPTIONS = ("-o", "BatchMode=yes", "-o", "ConnectTimeout=15", "-o", "ServerAliveInterval=15")
_SECONDS = 120.0


def _ssh(address: str, command: str) -> list[str]:
    """A command there, by the ssh that $PORTPROOF_SSH names with its options, or that is here."""
    try:
        program = shlex.split(os.environ.get("PORTPROOF_SSH") or "ssh")
    except ValueError as error:
        raise UsageError(f"$PORTPROOF_SSH is no command: {error}.") from None
    return [*program, *_OPTIONS, address, command]


@dataclass(frozen=True)
class Host:
    """Another machine.

    Attributes:
        address: As ssh takes it.
        environment: The machine.
        missing: By runtime, why it cannot run there.
    """

    address: str
    environment: Environment
    missing: dict[str, str]

    def runtimes(self, runtimes: Sequence[Runtime]) -> list[Runtime]:
        """These runtimes, there."""
        return [_there(runtime, self) for runtime in runtimes]

    def report(self, report: Report) -> Report:
        """A report of what ran there, whose host it is."""
        versions = report.environment.runtimes
        # Boards of one image have one name, and often nothing else that tells them apart.
        update = {"runtimes": versions, "device": self.address}
        there = self.environment.model_copy(update=update)
        return report.model_copy(update={"environment": there})


def connect(address: str) -> Host:
    """What a machine is and has. Raises UsageError where it cannot be reached, or used."""
    if address.startswith("-") or not address.strip():
        raise UsageError(f"--on {address}: give a host as ssh takes it, such as user@board.")
    try:
        command = _ssh(address, "portproof runner")
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=False
        )
    except FileNotFoundError:
        raise UsageError("there is no ssh here: install OpenSSH's client.") from None
    except subprocess.TimeoutExpired:
        raise UsageError(f"{address} does not answer in {_SECONDS:.0f} seconds.") from None
    said = printable(done.stderr.decode(errors="replace").strip().rpartition("\n")[2])
    if done.returncode:
        why = said.rstrip(".") or f"exit status {done.returncode}"
        raise UsageError(
            f"{address}: {why}. It has to work without a question: "
            f"ssh {address} portproof --version"
        )
    try:
        found = parsed(Description, done.stdout)
    except ValueError:
        raise UsageError(
            f"{address} did not answer as this version of Portproof does: install it there, and "
            "let no login script print anything."
        ) from None
    if found.protocol != VERSION:
        raise UsageError(f"{address} has another version of Portproof: install this one.")
    return Host(address, found.environment, found.missing)


@dataclass(frozen=True)
class SshRuntime(Runtime):
    """A runtime on another machine.

    Attributes:
        host: The machine.
    """

    host: Host | None = None

    def missing(self) -> str:
        assert self.host
        lack = self.host.missing.get(self.name, f"{self.host.address} does not know {self.name}")
        return f"on {self.host.address}: {lack}" if lack else ""

    @property
    def process(self) -> tuple[object, ...]:
        assert self.host
        return (self.host.address, self.name)

    def runner(self, limits: Limits, sandbox: "Sandbox | None" = None) -> RunnerProcess:  # noqa: ARG002
        """Its process, of ssh; the sandbox is the other machine's own."""
        assert self.host
        words = f"portproof runner {shlex.quote(self.name)} --time-limit {limits.request:g}"
        words += f" --memory-limit {limits.memory:g}"
        return _SshProcess(_ssh(self.host.address, words), {}, limits)


def _there(runtime: Runtime, host: Host) -> SshRuntime:
    own = {field.name: getattr(runtime, field.name) for field in fields(Runtime)}
    return SshRuntime(**own, host=host)


class _SshProcess(RunnerProcess):
    """A runner behind ssh: the files of an artifact are sent before the first request for it."""

    _sent: dict[Path, str] | None = None

    def start(self) -> None:
        super().start()
        self._sent = {}

    def compute(
        self, request: Request, inputs: Arrays, largest: float = math.inf
    ) -> tuple[Answer | Refusal, Arrays]:
        self.start_if_needed()
        try:
            paths = {
                name: self._there(Path(path)) if (path := getattr(request, name)) else None
                for name in ("artifact", "graph")
            }
        except (RunnerError, ProtocolError) as error:
            self.stop()
            raise RunnerError(str(error)) from None
        return super().compute(request.model_copy(update=paths), inputs, largest)

    def _there(self, path: Path) -> str:
        """The path there of a file or folder, which is sent unless it is there."""
        assert self._sent is not None
        # A file may need others beside it: its weights, the shards of a checkpoint.
        folder = path if path.is_dir() else path.parent
        if folder not in self._sent:
            number = str(len(self._sent))
            content = _packed(folder)
            line = Files(files=number, size=len(content)).model_dump_json() + "\n"
            self.exchange(line.encode(), content)
            self._sent[folder] = number
        return "/".join([self._sent[folder], *path.relative_to(folder).parts])

    @property
    def peak_memory(self) -> int:
        """Not known: it is the other machine's."""
        return 0


def _packed(folder: Path) -> bytes:
    packed = io.BytesIO()
    names = [p.relative_to(folder).as_posix() for p in sorted(folder.rglob("*")) if p.is_file()]
    pack_files(packed, folder, names)
    return packed.getvalue()
