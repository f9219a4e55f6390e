"""What a process and all that it started use."""

import os
from contextlib import suppress
from pathlib import Path

import psutil

# A browser with its pages is fifteen; a program that starts itself again has no end.
MAX_PROCESSES = 512


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


def bytes_in(folder: Path) -> int:
    """Bytes of the disk that the files of a folder take."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += Path(parent, name).lstat().st_blocks * 512
    return total
