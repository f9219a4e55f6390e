"""Runs a program with Landlock and seccomp, where user namespaces are forbidden.

The kernel's Landlock (landlock(7)) says what files it opens, whom it may send signals to and what
it listens at; a filter of system calls, with a process of ours that answers it, what it connects
to. https://github.com/multikernel/sandlock
"""

import os
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from portproof.bundle import temporary
from portproof.sandbox import landlocked
from portproof.sandbox.calls import Reach, filter_of
from portproof.sandbox.landlocked import Policy
from portproof.sandbox.shown import DEVICES, ETC, ETC_OF_NETWORK, READABLE, ROOTS
from portproof.sandbox.usage import MAX_PROCESSES


@cache
def obstacle() -> str:
    """Why it does not run here, or nothing."""
    if not sys.platform.startswith("linux"):
        return f"Landlock is for Linux alone, and this is {sys.platform}"
    try:
        from sandlock import landlock_abi_version, min_landlock_abi

        filter_of("nothing")
    except (ImportError, OSError, RuntimeError) as error:
        return f"sandlock and libseccomp cannot be loaded ({error})"
    here, wanted = landlock_abi_version(), min_landlock_abi()
    if here < wanted:
        return f"this kernel's Landlock is too old ({max(here, 0)}; {wanted} is wanted, Linux 6.12)"
    return ""


def wrapped(
    command: Sequence[str],
    readable: Iterable[Path],
    scratch: int | Path,
    *,
    reach: Reach = "nothing",
) -> list[str]:
    """A command that runs another one, as `bubblewrap.wrapped` does.

    Args:
        command: The program and its arguments.
        readable: Files and folders that it may read.
        scratch: How many bytes it may write, into a folder that goes with it; or a folder that it
            writes into.
        reach: What it may connect to.
    """
    own = [Path("/", name) for name in ROOTS]
    own += [Path("/etc", name) for name in (*ETC, *(ETC_OF_NETWORK if reach == "network" else ()))]
    own += [*map(Path, READABLE), *map(Path, DEVICES), Path("/proc"), Path("/usr")]
    own += [Path("/dev", name) for name in ("full", "random", "urandom", "zero")]
    shown = [str(path) for path in dict.fromkeys([*own, *readable]) if path.exists()]
    given, size = (scratch, None) if isinstance(scratch, Path) else (temporary.root(), scratch)
    calls = filter_of(reach).hex()
    policy = Policy(shown, str(given), size, MAX_PROCESSES, reach, calls, os.getpid())
    # As a file: as a module, it would import the package around it.
    return [sys.executable, "-P", landlocked.__file__, policy.to_json(), *command]
