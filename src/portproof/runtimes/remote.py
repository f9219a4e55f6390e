"""The far end of `--on HOST`: a runner for the runtimes of this machine, asked from another one.

It speaks the protocol of runners on its standard input and output, which ssh carries. An artifact
comes before the first request for it: a `Files`, with a tar archive behind it.
"""

import contextlib
import io
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from pydantic import BaseModel, Field

from portproof.bundle import tensors
from portproof.bundle.archives import unpack_files
from portproof.bundle.errors import described
from portproof.bundle.report import NO_SANDBOX, Environment
from portproof.runtimes.host import environment
from portproof.runtimes.listing import runtime_states
from portproof.runtimes.process import Limits, RunnerError
from portproof.runtimes.protocol import VERSION, Answer, Hello, Refusal, Request
from portproof.runtimes.runner import Runner
from portproof.runtimes.table import select
from portproof.sandbox.sandbox import Sandbox, sandbox_if_possible

# Bytes of the files of one artifact.
_MAX_FILES = 16 << 30


class Description(BaseModel):
    """What this machine is, and has.

    Attributes:
        protocol: The version of the protocol that its runners speak.
        environment: The machine.
        missing: By runtime, why it cannot run here; empty where it can.
    """

    protocol: int = VERSION
    environment: Environment
    missing: dict[str, str]


class Files(BaseModel):
    """That files follow: a tar archive of so many bytes, to be put under this name.

    It is answered by an empty line.
    """

    files: str = Field(pattern=r"^[0-9]+$")
    size: int = Field(ge=0, le=_MAX_FILES)


def describe() -> str:
    """A `Description`, as a line of JSON."""
    with sandbox_if_possible() as confined:
        here = environment({}, confined.name if confined else NO_SANDBOX)
    missing = {state.name: state.missing for state in runtime_states()}
    return Description(environment=here, missing=missing).model_dump_json()


def answer_requests(name: str, limits: Limits) -> None:
    """Answer requests with a runtime of this machine, until there are no more.

    Args:
        name: The runtime.
        limits: What its runner may use.
    """
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    [runtime] = select([name], [])
    with sandbox_if_possible() as confined, _folder(confined) as folder:
        runner = runtime.runner(limits, confined)
        try:
            runner.start_if_needed()
        except RunnerError as error:
            _send(answers, Refusal(error=str(error)))
            return
        _send(answers, Hello(ready=runner.versions, protocol=VERSION))
        with contextlib.suppress(BrokenPipeError):  # who asked is gone
            while line := requests.readline():
                if line.startswith(b'{"files"'):
                    _receive(Files.model_validate_json(line), requests, folder)
                    answers.write(b"\n")
                    answers.flush()
                else:
                    _answer(line, requests, answers, runner, folder)
        runner.stop()


def _folder(confined: Sandbox | None) -> contextlib.AbstractContextManager[Path]:
    """Where the files of artifacts lie: where runners may read, also in a sandbox."""
    if confined:
        return contextlib.nullcontext(confined.artifacts)
    return _temporary()


@contextlib.contextmanager
def _temporary() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def _receive(files: Files, requests: BinaryIO, folder: Path) -> None:
    unpack_files(io.BytesIO(requests.read(files.size)), folder / files.files)


def _answer(
    line: bytes, requests: BinaryIO, answers: BinaryIO, runner: Runner, folder: Path
) -> None:
    request = Request.model_validate_json(line)
    content = requests.read(request.size)
    try:
        paths = {
            name: str(_below(folder, path)) if (path := getattr(request, name)) else None
            for name in ("artifact", "graph")
        }
        answer, outputs = runner.compute(
            request.model_copy(update=paths), tensors.from_bytes(content)
        )
        content = tensors.to_bytes(outputs) if outputs else b""
        # Whoever must be replaced is, here: the one that is asked from there stays.
        answer = answer.model_copy(update={"restart": False})
        if isinstance(answer, Answer):
            answer = answer.model_copy(update={"size": len(content)})
        _send(answers, answer, content)
    except (RunnerError, ValueError) as error:
        _send(answers, Refusal(error=str(error) or described(error)))


def _below(folder: Path, path: str) -> Path:
    """A path in what came, and nothing else."""
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        raise ValueError(f"{path} is no path of what was sent")
    return folder / path


def _send(answers: BinaryIO, message: Hello | Answer | Refusal, content: bytes = b"") -> None:
    answers.write(message.to_line().encode())
    answers.write(content)
    answers.flush()


def main(name: str, limits: Limits) -> None:
    """`portproof runner`: what this machine is, or a runner of one of its runtimes."""
    if name:
        answer_requests(name, limits)
    else:
        sys.stdout.write(describe() + "\n")
