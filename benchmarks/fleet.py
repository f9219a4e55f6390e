"""Many bundles over several workers: how long it takes, and what is lost when something dies.

`python -m benchmarks.fleet FOLDER` takes the bundles in a folder, small ones, copies them under
other names until there are enough, and verifies all of them: here, with 1, 2 and 4 workers on this
machine, with workers that are killed, and with a scheduler that is restarted. It prints a table in
Markdown. Every run is compared with the first one, cell by cell.
"""

import argparse
import json
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import portproof
from portproof.bundle.bundle import MANIFEST
from portproof.bundle.report import Report

Cells = dict[tuple[Any, ...], str]
_PROGRAMS = Path(sys.executable).parent


def copies(folder: Path, count: int, target: Path) -> list[Path]:
    """So many bundles, each of a model of its own name."""
    found = sorted(path.parent for path in folder.glob(f"*/{MANIFEST}"))
    made = []
    for number in range(count):
        source = found[number % len(found)]
        path = shutil.copytree(source, target / f"m{number:04}")
        for name in ("report.json", "report.html", "README.md"):
            (path / name).unlink(missing_ok=True)
        manifest = json.loads((path / MANIFEST).read_text())
        manifest["model"] = path.name
        (path / MANIFEST).write_text(json.dumps(manifest))
        made.append(path)
    return made


def cells_of(report: Report) -> Cells:
    """The cells that decide, and their verdicts."""
    return {
        (c.model, c.artifact, c.runtime, c.signature, c.output, c.regime): c.verdict
        for c in report.cells
        if c.regime != "edge"
    }


@dataclass
class Fleet:
    """A scheduler and its workers, as processes of this machine."""

    workers: int
    port: int
    folder: Path
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    kills: int = 0

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def start(self, name: str) -> None:
        """Start the scheduler, or a worker by its name."""
        if name == "scheduler":
            command = ["dask", "scheduler", "--host=127.0.0.1", f"--port={self.port}"]
            command.append("--no-dashboard")
        else:
            command = ["portproof", "worker", self.address, f"--name={name}", "--threads=1"]
        program = str(_PROGRAMS / command[0])
        with (self.folder / f"{name}.log").open("a") as log:
            self.processes[name] = subprocess.Popen(
                [program, *command[1:]], stdout=log, stderr=log, cwd=self.folder
            )

    def kill(self, name: str) -> None:
        """Kill one with no warning, and start it again."""
        self.processes[name].send_signal(signal.SIGKILL)
        self.processes[name].wait()
        self.kills += 1
        self.start(name)

    @contextmanager
    def running(self) -> Iterator["Fleet"]:
        self.start("scheduler")
        names = [f"worker-{number}" for number in range(self.workers)]
        for name in names:
            self.start(name)
        try:
            self._wait()
            yield self
        finally:
            for process in self.processes.values():
                process.terminate()
            for process in self.processes.values():
                process.wait(30)

    def _wait(self) -> None:
        from distributed import Client

        with Client(self.address, timeout=60, set_as_default=False) as client:
            client.wait_for_workers(self.workers, timeout=120)


def disturbing(disturb: Callable[[], None], pause: Callable[[], float]) -> Callable[[], None]:
    """Have something done again and again; returns what ends that."""
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(pause()):
            disturb()

    thread = threading.Thread(target=work)
    thread.start()

    def end() -> None:
        ended.set()
        thread.join()

    return end


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def line(what: str, seconds: float, tasks: int, found: Cells, expected: Cells, kills: int) -> str:
    missing = len(expected.keys() - found.keys())
    absent = sum(verdict == "absent" for verdict in found.values())
    other = sum(verdict not in ("absent", expected.get(cell)) for cell, verdict in found.items())
    return (
        f"| {what} | {seconds:.0f} | {seconds / tasks:.2f} | {kills} | {len(found)} | {missing} "
        f"| {absent} | {other} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--bundles", type=int, default=200)
    parser.add_argument("--runtime", action="append", default=None)
    parser.add_argument(
        "--run", action="append", choices=["here", "1", "2", "4", "kills", "restart", "random"]
    )
    arguments = parser.parse_args()
    runtimes = arguments.runtime or ["litert"]
    wanted = arguments.run or ["here", "1", "2", "4", "kills", "restart", "random"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = copies(arguments.folder, arguments.bundles, folder / "bundles")
        tasks = len(paths) * len(runtimes)
        print(f"{len(paths)} bundles, {tasks} tasks, runtimes {', '.join(runtimes)}\n")
        print("| run | seconds | a task | kills | cells | missing | absent | another verdict |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
        started = time.monotonic()
        expected = cells_of(portproof.verify(*paths, runtimes=runtimes))
        print(line("here", time.monotonic() - started, tasks, expected, expected, 0), flush=True)
        for run in wanted:
            if run != "here":
                print(_run(run, paths, runtimes, expected, tasks, folder), flush=True)


def _run(
    run: str, paths: list[Path], runtimes: list[str], expected: Cells, tasks: int, folder: Path
) -> str:
    chance = random.Random(7)
    with ExitStack() as stack:
        fleet = Fleet(int(run) if run.isdigit() else 2, free_port(), folder)
        stack.enter_context(fleet.running())
        workers = [name for name in fleet.processes if name != "scheduler"]

        def kill_one() -> None:
            fleet.kill(chance.choice(workers))

        if run == "kills":
            stack.callback(disturbing(kill_one, lambda: 10.0))
        elif run == "random":
            stack.callback(disturbing(kill_one, lambda: chance.uniform(0.2, 6.0)))
        elif run == "restart":
            stack.callback(disturbing(lambda: fleet.kill("scheduler"), lambda: 40.0))
        started = time.monotonic()
        found = cells_of(portproof.verify(*paths, runtimes=runtimes, scheduler=fleet.address))
        seconds = time.monotonic() - started
    what = {
        "kills": "2 workers, one killed every 10 s",
        "random": "2 workers, one killed every 0.2 to 6 s",
        "restart": "2 workers, the scheduler killed every 40 s",
    }.get(run, f"{run} workers of one task each")
    return line(what, seconds, tasks, found, expected, fleet.kills)


if __name__ == "__main__":
    main()
