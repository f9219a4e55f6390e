"""What a process and all that it started use."""

import resource
from contextlib import suppress

import psutil

# A browser with its pages is fifteen; a program that starts itself again has no end.
MAX_PROCESSES = 512
MAX_THREADS = 1 << 14


def family(pid: int) -> list[psutil.Process]:
    """A process and its descendants; nothing, where it has ended."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def memory_of(processes: list[psutil.Process]) -> int:
    """Bytes that they have in memory; what several share counts for each."""
    total = 0
    for process in processes:
        with suppress(psutil.Error):
            total += process.memory_info().rss
    return total


def free_memory() -> int:
    """Bytes of memory that this machine has for one more program."""
    free: int = psutil.virtual_memory().available
    return free


def least(limit: int, wanted: int) -> int:
    """A limit of `resource` for what this process starts: its own, where that is less."""
    return min(value for value in (wanted, *resource.getrlimit(limit)) if value >= 0)
