"""Temporary folders that go with their process, at the latest when the next one begins.

A process holds a lock on each folder that it is at work on. The system releases it with the
process, however that ends, and a folder without a lock is nobody's any more.
"""

import atexit
import fcntl
import glob
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

# No earlier version has folders of this name, without a lock.
_PREFIX = "portproof.tmp-"


@cache
def root() -> Path:
    """The folder for all temporary files of this process, which goes when it ends."""
    system = Path(tempfile.gettempdir())
    remove_abandoned(system.glob(f"{_PREFIX}*/"))
    path, lock = _made(system, _PREFIX)
    owner = os.getpid()

    def remove_own() -> None:
        if os.getpid() == owner:  # and not a fork of it
            remove(path)
            os.close(lock)

    atexit.register(remove_own)
    return path


@contextmanager
def folder(parent: Path, prefix: str) -> Iterator[Path]:
    """A new folder in `parent`, removed after the block if it is still there.

    What others of the prefix left, which did not come to the end of the block, is removed before.
    """
    remove_abandoned(parent.glob(f"{glob.escape(prefix)}*/"))
    path, lock = _made(parent, prefix)
    try:
        yield path
    finally:
        remove(path)
        os.close(lock)


@contextmanager
def own_folder() -> Iterator[Path]:
    """A folder in this process's own one, for what may be written by anybody."""
    path = Path(tempfile.mkdtemp(dir=root()))
    try:
        yield path
    finally:
        remove(path)


def remove(folder: Path) -> None:
    """Remove a folder that anybody may have filled, as far as that is possible."""
    with suppress(RecursionError):
        shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():  # folders that lie too deep for Python, or that may not even be read
        for command in (("chmod", "-R", "u+rwx"), ("rm", "-rf")):
            subprocess.run([*command, "--", folder], check=False, capture_output=True)


def _made(parent: Path, prefix: str) -> tuple[Path, int]:
    """A new folder and its lock, which closing it releases."""
    while True:
        path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        try:
            return path, _locked(path)
        except (BlockingIOError, FileNotFoundError):
            continue  # another process took it for abandoned before it was locked
        except OSError:  # a file system without locks: nobody can take it for abandoned, either
            return path, os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)


def _locked(path: Path) -> int:
    """The lock on a folder. Raises OSError where another process has it, or the folder is gone."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.stat()
    except OSError:
        os.close(handle)
        raise
    return handle


def remove_abandoned(paths: Iterable[Path]) -> None:
    """Remove those of some folders, of this user, that no process is at work on."""
    for path in paths:
        with suppress(OSError):
            if path.lstat().st_uid != os.getuid():
                continue
            lock = _locked(path)
            remove(path)
            os.close(lock)
