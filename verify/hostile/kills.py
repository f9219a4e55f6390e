"""Kills exports, verifications and publications at random moments, and looks for what is left.

`python -m verify.hostile.kills 100`
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from portproof.bundle.bundle import Bundle
from portproof.bundle.errors import BundleError
from verify.hostile.__main__ import make_bases
from verify.hostile.draft import Bases

_MARK = "HOSTILE_KILLS"
# Seconds that each command takes, roughly, in which it is killed.
_SECONDS = {"export": 9.0, "verify": 4.0, "publish": 1.5}
_PATIENCE = 3.0  # seconds after which nothing may run any more


@dataclass
class Killer:
    """Runs and kills commands in one place.

    Attributes:
        bases: What is exported, verified and published.
        place: The folder of all that the commands write.
        problems: What was found.
    """

    bases: Bases
    place: Path
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.temporary, self.home = self.place / "tmp", self.place / "home"
        for folder in (self.temporary, self.home):
            folder.mkdir()
        self.bundle = Path(shutil.copytree(self.bases.bundle, self.place / "own" / "small"))

    def start(self, command: str) -> "subprocess.Popen[bytes]":
        """Start a command, in a session of its own."""
        release = str(self.place / "published")
        words = {
            "export": [str(self.bases.model), "--output", str(self.place / "out")],
            "verify": [str(self.bundle), "--runtime", "litert", "--runtime", "tensorflow"],
            "publish": [str(self.bundle), release, "--unverified"],
        }
        variables = {"TMPDIR": str(self.temporary), "HOME": str(self.home), _MARK: "1"}
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "portproof", command, *words[command]],
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def kill_one(self, command: str, sign: signal.Signals, after: float) -> None:
        """Start a command, end it after so many seconds, and look for what is left."""
        process = self.start(command)
        time.sleep(after)
        family = _family(process.pid)
        process.send_signal(sign)
        process.wait()
        _, living = psutil.wait_procs(family, _PATIENCE)
        told = f"{command}, {sign.name} after {after:.2f} s"
        self.problems += [f"{told}: {name} runs on" for name in map(_name, living) if name]
        self.problems += [f"{told}: {problem}" for problem in self._half_written()]

    def _half_written(self) -> Iterator[str]:
        for path in (self.place / "out" / "small", self.bundle):
            try:
                if path.exists():
                    Bundle.open(path)
            except BundleError as error:
                yield str(error)

    def look_for_folders(self) -> None:
        """What is left after each command came to its end once."""
        for command in _SECONDS:
            self.start(command).wait()
        left = [path.name for path in self.temporary.iterdir()]
        for folder in (self.place / "out", self.place / "own"):
            left += [path.name for path in folder.iterdir() if path.name != "small"]
        self.problems += [f"left: {name}" for name in left]


def _family(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return process.children(recursive=True)
    except psutil.Error:
        return []


def _name(process: psutil.Process) -> str:
    try:
        return "" if process.status() == "zombie" else " ".join(process.cmdline())[:60]
    except psutil.Error:
        return ""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m verify.hostile.kills", description=__doc__)
    parser.add_argument("number", type=int, nargs="?", default=100)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    choose = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory(prefix="hostile-") as folder:
        killer = Killer(make_bases(Path(folder)), Path(folder))
        for n in range(arguments.number):
            command = list(_SECONDS)[n % len(_SECONDS)]
            sign = choose.choice((signal.SIGKILL, signal.SIGTERM))
            killer.kill_one(command, sign, choose.uniform(0.0, _SECONDS[command]))
        killer.look_for_folders()
    print("\n".join(killer.problems) or f"{arguments.number} kills, and nothing was left")
    raise SystemExit(bool(killer.problems))


if __name__ == "__main__":
    main()
