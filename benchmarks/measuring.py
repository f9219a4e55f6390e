"""Times whole commands in pairs, one after the other: what else a machine does then meets both."""

import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]
_POLL = 0.1  # seconds between looks at the memory

Command = Sequence[str]


@dataclass(frozen=True)
class Run:
    """Seconds that a command took, and the most memory in bytes, shared pages counted once."""

    seconds: float
    memory: int


@dataclass(frozen=True)
class Pair:
    """Ours beside what a person does by hand, each as often as the other."""

    ours: list[Run]
    by_hand: list[Run]

    @property
    def seconds(self) -> tuple[float, float]:
        """The medians: ours, by hand."""
        ours, by_hand = ([run.seconds for run in runs] for runs in (self.ours, self.by_hand))
        return statistics.median(ours), statistics.median(by_hand)

    @property
    def memory(self) -> tuple[int, int]:
        """The most that was seen: ours, by hand."""
        return max(run.memory for run in self.ours), max(run.memory for run in self.by_hand)

    @property
    def ratio(self) -> float:
        """The median of the pairs' ratios."""
        pairs = zip(self.ours, self.by_hand, strict=True)
        return statistics.median(ours.seconds / by_hand.seconds for ours, by_hand in pairs)


def python(module: str, *arguments: str | Path) -> Command:
    """A module of ours, as a program."""
    return [sys.executable, "-m", module, *map(str, arguments)]


def portproof(*arguments: str | Path) -> Command:
    """The command line."""
    return [str(Path(sys.executable).with_name("portproof")), *map(str, arguments)]


def run(command: Command, folder: Path, *, accepted: Sequence[int] = (0,)) -> Run:
    """Run a command in a folder. Raises RuntimeError where it ends with another status."""
    started = time.monotonic()
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},  # for the scripts of this folder
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    memory = _Memory(process.pid)
    output, _ = process.communicate()
    seconds = time.monotonic() - started
    peak = memory.stop()
    if process.returncode not in accepted:
        raise RuntimeError(f"{' '.join(command)}: {process.returncode}: {output[-2000:]}")
    return Run(seconds, peak)


def pairs(ours: Command, by_hand: Command, folder: Path, number: int, clean: Path) -> Pair:
    """Run both commands so many times in turn; `clean` is removed before each of the second."""
    results = Pair([], [])
    for _ in range(number):
        subprocess.run(["rm", "-rf", str(clean)], check=True)
        results.by_hand.append(run(by_hand, folder))
        # A verification that finds something wrong has been done; an export that fails has not.
        results.ours.append(run(ours, folder, accepted=(0, 1) if "verify" in ours else (0,)))
    return results


class _Memory:
    """Looks at what a process and its descendants have in memory, until it is stopped."""

    def __init__(self, pid: int) -> None:
        self._pid, self._peak = pid, 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> int:
        self._done.set()
        self._thread.join()
        return self._peak

    def _look(self) -> None:
        while not self._done.wait(_POLL):
            try:
                process = psutil.Process(self._pid)
                family = [process, *process.children(recursive=True)]
                total = sum(member.memory_full_info().pss for member in family)
            except (psutil.Error, AttributeError):  # pss is Linux's
                continue
            self._peak = max(self._peak, total)
