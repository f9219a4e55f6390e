"""An environment: what a runtime needs, in a folder of the user's cache, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import filelock
import platformdirs

from portproof.bundle import atomic
from portproof.bundle.errors import SetupError

Log = Callable[[str], None]

# Written last into each environment's folder.
RECORD = "environment.json"


def environments_folder() -> Path:
    """Where environments are: below `$PORTPROOF_CACHE`, or the folder the system has for caches."""
    cache = os.environ.get("PORTPROOF_CACHE") or platformdirs.user_cache_path("portproof")
    return Path(cache).absolute() / "environments"


@dataclass(frozen=True)
class Environment(ABC):
    """What a runtime needs, at a version.

    Attributes:
        name: What it is: `litert`, `tfjs`.
        asked: The version that was asked for; empty: the default one.
    """

    name: str
    asked: str = ""

    @property
    @abstractmethod
    def version(self) -> str:
        """The version that is meant: the one asked for, or the default one."""

    @property
    def needs(self) -> tuple[Environment, ...]:
        """The environments that this one is made with."""
        return ()

    @abstractmethod
    def recipe(self) -> str:
        """All that decides what the folder holds: where it changes, the folder is another."""

    @abstractmethod
    def fill(self, folder: Path) -> None:
        """Make it in an empty folder, which is moved to its own place when it is whole.

        Raises SetupError or OSError.
        """

    def obstacle(self) -> str:
        """What this machine lacks to make it, and how to get that, or nothing."""
        return ""

    @property
    def in_place(self) -> bool:
        """Whether what it would hold is in this process's own Python environment already."""
        return False

    @property
    def folder(self) -> Path:
        digest = hashlib.sha256(self.recipe().encode()).hexdigest()[:8]
        return environments_folder() / f"{self.name}-{self.version}-{digest}"

    @property
    def is_here(self) -> bool:
        return self.in_place or (self.folder / RECORD).is_file()

    def make(self, log: Log) -> None:
        """Make it where it is not here; what it needs is.

        Of several processes one makes it, and the others wait for it. What was interrupted leaves
        nothing but a hidden folder, which the next try removes. Raises SetupError.
        """
        if self.is_here:
            return
        if obstacle := self.obstacle():
            raise SetupError(f"{self} cannot be set up: {obstacle}")
        try:
            with _only_one_process(self.folder, self, log):
                if not self.is_here:
                    self._make(log)
        except OSError as error:
            reason = error.strerror or str(error)
            raise SetupError(f"{self} cannot be set up in {self.folder.parent}: {reason}") from None

    def _make(self, log: Log) -> None:
        log(f"setting up {self}")
        started = time.monotonic()
        for unfinished in self.folder.parent.glob(f".{self.folder.name}.*/"):
            shutil.rmtree(unfinished, ignore_errors=True)
        with atomic.folder(self.folder) as staging:
            try:
                self.fill(staging)
            except SetupError as error:
                raise SetupError(f"{self} cannot be set up: {error}") from None
            size = _size(staging)
            record = {"name": self.name, "version": self.version, "size": size}
            (staging / RECORD).write_text(json.dumps(record) + "\n")
        log(f"set up {self}: {size / 2**20:.1f} MiB in {time.monotonic() - started:.0f} s")

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@contextmanager
def _only_one_process(folder: Path, environment: Environment, log: Log) -> Iterator[None]:
    """Hold a lock, which the system releases if this process dies."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder.parent / f".{folder.name}.lock")
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        log(f"waiting for another process that sets up {environment}")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def run_tool(
    tool: str,
    command: Sequence[str | Path],
    folder: Path,
    variables: Mapping[str, str] | None = None,
) -> None:
    """Run a program that installs or compiles.

    Args:
        tool: Its name, for messages.
        command: The program and its arguments.
        folder: Its working folder: not the user's, whose settings of a project are not ours.
        variables: Variables of its environment in addition to this process's own.

    Raises SetupError with what it said, where it fails.
    """
    try:
        done = subprocess.run(
            [str(word) for word in command],
            cwd=folder,
            env={**os.environ, **(variables or {})},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except OSError as error:
        raise SetupError(f"{tool} cannot be started: {error.strerror}") from None
    if done.returncode:
        said = _in_one_line(done.stderr) or _in_one_line(done.stdout)
        raise SetupError(f"{tool} says: {said or f'exit status {done.returncode}'}")


def _in_one_line(text: str, max_length: int = 700) -> str:
    """What a tool said. Of uv's chain of causes, the first line and the cause of all.

    npm says where its log is, which has no more of it, and begins each line with `npm error`.
    """
    said = [line for line in text.strip().splitlines() if "complete log of this run" not in line]
    lines = [" ".join(re.sub(r"^npm error( [a-z]+)?", "", line).split()) for line in said]
    if len(lines) > 2 and lines[-1].startswith("cause: "):
        lines = [lines[0], lines[-1]]
    return " ".join(lines)[:max_length]


@dataclass(frozen=True)
class MadeEnvironment:
    """An environment in the cache: its record, and its folder. `size` is in bytes."""

    name: str
    version: str
    size: int
    folder: Path

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    def remove(self) -> None:
        """Remove its folder, record first: what is left of it then is no environment."""
        (self.folder / RECORD).unlink()
        shutil.rmtree(self.folder)


def made_environments() -> list[MadeEnvironment]:
    """All that are in the cache, by name and version, also those of other versions of Portproof."""
    records = environments_folder().glob(f"*/{RECORD}")
    return [
        MadeEnvironment(**json.loads(record.read_text()), folder=record.parent)
        for record in sorted(records)
    ]


def _size(folder: Path) -> int:
    """Bytes of all files below a folder, each counted once however many names it has."""
    statuses = [path.lstat() for path in folder.rglob("*")]
    return sum({(status.st_dev, status.st_ino): status.st_size for status in statuses}.values())
