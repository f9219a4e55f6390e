"""An environment: what a runtime needs, in a folder of the user's cache, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import threading
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

# Set at Ctrl-C, after which no tool is started: making an environment takes several, in threads.
interrupted = threading.Event()

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
        requested: The version that was asked for; empty: the default one.
    """

    name: str
    requested: str = ""

    @property
    @abstractmethod
    def version(self) -> str:
        """The version that is meant: the one asked for, or the default one."""

    @staticmethod
    @abstractmethod
    def is_version(text: str) -> bool:
        """Whether a text names one version, and not a range or the newest of some."""

    @property
    def needs(self) -> tuple[Environment, ...]:
        """The environments that this one is made and run with."""
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
    def folders(self) -> tuple[Path, ...]:
        """The folders of it and of what it needs, but for what is in this process's own Python."""
        own = () if self.in_place else (self.folder,)
        return (*own, *(folder for needed in self.needs for folder in needed.folders))

    @property
    def is_made(self) -> bool:
        return self.in_place or (self.folder / RECORD).is_file()

    @property
    def is_here(self) -> bool:
        """Whether it and what it needs are made."""
        return self.is_made and all(needed.is_here for needed in self.needs)

    def lack(self) -> str:
        """What this machine lacks to make it and what it needs, or nothing."""
        lacks = [needed.lack() for needed in self.needs]
        return ", ".join(filter(None, [*lacks, "" if self.is_made else self.obstacle()]))

    def make(self, log: Log) -> None:
        """Make it where it is not made; what it needs is.

        Of several processes one makes it, and the others wait for it. What was interrupted leaves
        a hidden folder, which the next `make` of any environment removes. Raises SetupError.
        """
        if self.is_made:
            return
        if obstacle := self.obstacle():
            raise SetupError(f"{self} cannot be set up: {obstacle}")
        try:
            remove_unfinished()
            with _only_one_process(
                self.folder, lambda: log(f"waiting for another set-up of {self}")
            ):
                if not self.is_made:
                    self._make(log)
        except OSError as error:
            reason = error.strerror or str(error)
            raise SetupError(f"{self} cannot be set up in {self.folder.parent}: {reason}") from None

    def _make(self, log: Log) -> None:
        log(f"setting up {self}")
        started = time.monotonic()
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
def _only_one_process(folder: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold an environment's lock, which the system releases if this process dies."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = _lock(folder.name)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        on_wait()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _lock(name: str) -> filelock.BaseFileLock:
    return filelock.FileLock(environments_folder() / f".{name}.lock")


def remove_unfinished() -> None:
    """Remove what was left by processes that were killed, but for what another is at work on."""
    for folder in environments_folder().glob(".*/"):
        # Named after its environment, by `atomic.folder` and by `MadeEnvironment.remove`.
        lock = _lock(folder.name[1:].rpartition(".")[0])
        try:
            lock.acquire(blocking=False)
        except filelock.Timeout:
            continue
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()


def run_tool(
    tool: str, command: Sequence[str | Path], folder: Path, variables: Mapping[str, str]
) -> None:
    """Run a program that installs or compiles.

    Args:
        tool: Its name, for messages.
        command: The program and its arguments.
        folder: Its working folder.
        variables: All variables of its environment.

    Raises SetupError with what it said, where it fails.
    """
    if interrupted.is_set():
        raise SetupError("it was interrupted")
    try:
        done = subprocess.run(
            [str(word) for word in command],
            cwd=folder,
            env=variables,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
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

    npm says where its log is, which has no more of it, and begins each line with `npm error`. What
    is too long is cut in the middle: the paths of files stand before the reason.
    """
    said = [line for line in text.strip().splitlines() if "complete log of this run" not in line]
    lines = [" ".join(re.sub(r"^npm error( [a-z]+)?", "", line).split()) for line in said]
    if len(lines) > 2 and lines[-1].startswith("cause: "):
        lines = [lines[0], lines[-1]]
    whole = " ".join(lines)
    half = max_length // 2
    return whole if len(whole) <= max_length else f"{whole[:half]} ... {whole[-half:]}"


@dataclass(frozen=True)
class MadeEnvironment:
    """An environment in the cache: its record, and its folder. `size` is in bytes."""

    name: str
    version: str
    size: int
    folder: Path

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"

    def remove(self) -> None:
        """Remove its folder, out of sight first: what is left of it then is no environment."""
        hidden = self.folder.with_name(f".{self.folder.name}.removed")
        with _only_one_process(self.folder, lambda: None):
            self.folder.rename(hidden)
            shutil.rmtree(hidden)


def made_environments() -> list[MadeEnvironment]:
    """All that are in the cache, by name and version, also those of other versions of Portproof."""
    made = []
    for path in sorted(environments_folder().glob(f"[!.]*/{RECORD}")):
        record = json.loads(path.read_text())
        made.append(MadeEnvironment(record["name"], record["version"], record["size"], path.parent))
    return made


def _size(folder: Path) -> int:
    """Bytes of all files below a folder, each counted once however many names it has."""
    statuses = [path.lstat() for path in folder.rglob("*")]
    return sum({(status.st_dev, status.st_ino): status.st_size for status in statuses}.values())
