"""Limits that the kernel keeps for a program and all that it starts, by a control group of systemd.

A scope of systemd-run(1) is a control group with limits (systemd.resource-control(5)), which goes
with the last process in it. Where its memory is used up, the kernel kills what is in it. All memory
counts, files in memory that have no name too.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache

# By which the person's own systemd is found. What runs in the scope need not know.
_ADDRESS = "XDG_RUNTIME_DIR"
_PATIENCE = 5.0  # seconds for systemd to answer


@cache
def obstacle() -> str:
    """Why no control group can be made here, or nothing."""
    if not shutil.which("systemd-run"):
        return "systemd-run is not installed"
    try:
        done = subprocess.run(
            [*_scope("MemoryMax=1G", "TasksMax=64"), "true"],
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "systemd does not answer"
    if not done.returncode:
        return ""
    return done.stderr.strip().rpartition("\n")[2] or "systemd-run does not run here"


def wrapped(command: Sequence[str], memory: float, threads: int) -> list[str]:
    """A command that becomes another one in a control group; the other one, where there is none.

    Args:
        command: The program and its arguments.
        memory: Bytes of memory that it and all that it starts may have, what they keep in files in
            memory included.
        threads: How many threads they may have together.
    """
    if obstacle():
        return list(command)
    limits = {"MemoryMax": int(memory), "MemorySwapMax": 0, "TasksMax": threads}
    return [*_scope(*(f"{name}={value}" for name, value in limits.items())), *command]


def _scope(*properties: str) -> list[str]:
    """The start of a command for a scope: of the system's systemd, or of the person's own."""
    words = ["systemd-run", "--scope", "--quiet", "--collect"]
    words += [f"--property={text}" for text in properties]
    if not os.geteuid():
        return [*words, "--"]
    own = f"{_ADDRESS}={os.environ.get(_ADDRESS, f'/run/user/{os.geteuid()}')}"
    return ["env", own, *words, "--user", "--", "env", f"--unset={_ADDRESS}"]
