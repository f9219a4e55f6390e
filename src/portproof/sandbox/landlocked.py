"""Runs a command under a policy: `python landlocked.py POLICY COMMAND...`.

It stays beside the command, which has its standard streams, and ends with it. Whatever the command
started and left is ended then, too.
"""

import ctypes
import json
import math
import os
import resource
import signal
import socket
import subprocess
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
_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_CAPBSET_DROP = 1, 22, 24
_PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 36, 38
_SECCOMP_MODE_FILTER = 2  # linux/seccomp.h
_CAPABILITIES = 64  # more than linux/capability.h has
_POLL = 0.2
_BLOCK = 4096  # bytes that a folder takes at least


@dataclass(frozen=True)
class Policy:
    """What a program may do.

    Attributes:
        readable: Files and folders that it may read.
        folder: The folder that it writes into; or, with `size`, in which it gets one of its own.
        size: How many bytes it may write, where the folder goes with it.
        processes: How many it may have at once.
        reach: What it may connect to: `calls.Reach`.
        calls: What system calls it may make: struct sock_filter, in hexadecimal digits.
        parent: The process with which it ends.
    """

    readable: list[str]
    folder: str
    size: int | None
    processes: int
    reach: str
    calls: str
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
        if policy.size is not None:
            _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            size = min(limit for limit in (policy.size, hard) if limit >= 0)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        sandbox = _sandbox(policy, folder)
        _refuse(bytes.fromhex(policy.calls))
        return _watched(sandbox, command, folder, policy.size)


def _settle(parent: int) -> None:
    """End with the process that started this one; take in what the command leaves to others."""
    libc = ctypes.CDLL(None, use_errno=True)
    signal.signal(signal.SIGTERM, _end)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # it ended before it was asked to tell
        sys.exit(1)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # What a command of root's would get when it is started.
    for capability in range(_CAPABILITIES):
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)


def _end(*_: Any) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(128 + signal.SIGTERM)


def _refuse(calls: bytes) -> None:
    """Install the filter, for this process too: what it starts gets it before sandlock's own."""
    count = len(calls) // 8
    content = ctypes.create_string_buffer(calls, len(calls))
    # struct sock_fprog (linux/filter.h)
    program = (ctypes.c_size_t * 2)(count, ctypes.addressof(content))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, program, 0, 0):
        sys.exit(f"no filter of system calls: {os.strerror(ctypes.get_errno())}")


@contextmanager
def _folder(policy: Policy) -> Iterator[Path]:
    if policy.size is None:
        yield Path(policy.folder)
        return
    folder = tempfile.mkdtemp(dir=policy.folder)
    try:
        yield Path(folder)
    finally:
        # Whatever is in it: Python's own way does not come to the end of folders that are too deep.
        subprocess.run(["rm", "-rf", "--", folder], check=False, capture_output=True)


def _sandbox(policy: Policy, folder: Path) -> "Sandbox":
    from sandlock import Sandbox

    reached, bound = [], []
    if policy.reach == "network":
        reached, bound = ["*:*"], ["*"]
    elif policy.reach == "loopback":
        os.environ["PORTPROOF_PORT"] = port = str(_free_port())
        reached, bound = [f"tcp://127.0.0.1:{port}"], [port]
    os.environ.update(HOME=str(folder), TMPDIR=str(folder))
    return Sandbox(
        fs_readable=policy.readable,
        fs_writable=[str(folder), "/dev/null"],
        extra_deny_syscalls=["listen"] if policy.reach == "nothing" else [],
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
            if size is not None and _bytes_in(folder, size) > size:
                sys.exit(f"wrote more than {size:,} bytes")
    finally:
        _end_all()
    killed, status = int(results[0].signal), int(results[0].exit_code)
    if status < 0 and killed < 0:  # of SIGKILL sandlock says no number
        killed = signal.SIGKILL
    return 128 + killed if killed > 0 else status


def _bytes_in(folder: Path, enough: int) -> float:
    """Bytes of the disk that a folder takes, counted until there are enough.

    Folders that nobody may read, or that lie too deep, are too much: what they hold cannot be
    counted. Files without a name are not counted.
    """
    total = 0

    def refuse(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise error

    try:
        for parent, folders, files in os.walk(folder, onerror=refuse):
            total += _BLOCK * len(folders)
            for name in files:
                with suppress(FileNotFoundError):
                    total += Path(parent, name).lstat().st_blocks * 512
            if total > enough:
                break
    except (OSError, RecursionError):
        return math.inf
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
