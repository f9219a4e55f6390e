"""Runs a command under a policy: `python landlocked.py POLICY COMMAND...`.

It stays beside the command, which has its standard streams, and ends with it. Whatever the command
started and left is ended then, too.
"""

import ctypes
import json
import os
import resource
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sandlock import Sandbox

# linux/prctl.h
_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP, _PR_SET_CHILD_SUBREAPER = 1, 24, 36
_CAPABILITIES = 64  # more than linux/capability.h has
# What changes a file of this user without opening it, which Landlock lets pass.
_DENIED = (
    *("chmod", "fchmodat", "fchmodat2", "chown", "lchown", "fchownat"),
    *("utime", "utimes", "utimensat", "futimesat"),
    *("setxattr", "lsetxattr", "removexattr", "lremovexattr"),
)
_POLL = 0.2


@dataclass(frozen=True)
class Policy:
    """What a program may do.

    Attributes:
        readable: Files and folders that it may read.
        folder: The folder that it writes into; or, with `size`, in which it gets one of its own.
        size: How many bytes it may write, where the folder goes with it.
        processes: How many it may have at once.
        network: Whether it sees the machine's network; else one port of the loopback.
        parent: The process with which it ends.
    """

    readable: list[str]
    folder: str
    size: int | None
    processes: int
    network: bool
    parent: int

    @classmethod
    def from_json(cls, text: str) -> "Policy":
        return cls(**json.loads(text))

    def to_json(self) -> str:
        return json.dumps(asdict(self))


def main() -> int:
    policy, command = Policy.from_json(sys.argv[1]), sys.argv[2:]
    _settle(policy.parent)
    with _folder(policy) as folder:
        return _watched(_sandbox(policy, folder), command, folder, policy.size)


def _settle(parent: int) -> None:
    """End with the process that started this one; take in what the command leaves to others."""
    libc = ctypes.CDLL(None, use_errno=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # it ended before it was asked to tell
        sys.exit(1)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # What a command of root's would get when it is started.
    for capability in range(_CAPABILITIES):
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)


@contextmanager
def _folder(policy: Policy) -> Iterator[Path]:
    if policy.size is None:
        yield Path(policy.folder)
        return
    with tempfile.TemporaryDirectory(dir=policy.folder, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _sandbox(policy: Policy, folder: Path) -> "Sandbox":
    from sandlock import Sandbox

    if policy.network:
        reached, bound = ["*:*"], ["*"]
    else:
        os.environ["PORTPROOF_PORT"] = port = str(_free_port())
        reached, bound = [f"tcp://127.0.0.1:{port}"], [port]
    os.environ.update(HOME=str(folder), TMPDIR=str(folder))
    return Sandbox(
        fs_readable=policy.readable,
        fs_writable=[str(folder), "/dev/null"],
        extra_deny_syscalls=_DENIED,
        max_processes=policy.processes,
        cwd=str(folder),
        net_allow=reached,
        net_allow_bind=bound,
    )


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def _watched(sandbox: "Sandbox", command: list[str], folder: Path, size: int | None) -> int:
    """Run the command to its end, and return its exit status as a shell does."""
    results: list[Any] = []
    try:
        process = sandbox.popen(command)
        # In a thread: a signal is heard while the main one waits for it.
        waiting = threading.Thread(target=lambda: results.append(process.wait()), daemon=True)
        waiting.start()
        while waiting.is_alive():
            waiting.join(_POLL)
            if size is not None and _bytes_in(folder) > size:
                sys.exit(f"wrote more than {size:,} bytes")
    finally:
        _end_all()
    killed, status = int(results[0].signal), int(results[0].exit_code)
    return 128 + killed if killed > 0 else status


def _bytes_in(folder: Path) -> int:
    """Bytes of the disk that the files of a folder take."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += Path(parent, name).lstat().st_blocks * 512
    return total


def _end_all() -> None:
    """Kill what is below this process, until there is nothing."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    import psutil  # while the command runs, nobody waits for it

    while children := psutil.Process().children(recursive=True):
        for child in children:
            with suppress(psutil.Error):
                child.kill()
        psutil.wait_procs(children, timeout=1)


if __name__ == "__main__":
    sys.exit(main())
