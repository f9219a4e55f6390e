"""A real Dask scheduler and workers, as processes of this machine."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from distributed import Client

PROGRAMS = Path(sys.executable).parent


@dataclass
class Cluster:
    """A scheduler, and workers by their names."""

    folder: Path
    port: int
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def start(self, name: str, *options: str) -> None:
        words = ["portproof", "worker", self.address, f"--name={name}", "--threads=1", *options]
        if name == "scheduler":
            words = ["dask", "scheduler", "--host=127.0.0.1", f"--port={self.port}"]
            words.append("--no-dashboard")
        with (self.folder / f"{name}.log").open("a") as log:
            command = [str(PROGRAMS / words[0]), *words[1:]]
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)
        self.processes[name] = process

    def wait_for(self, workers: int) -> None:
        with Client(self.address, timeout=60, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=60)

    def kill(self, name: str) -> None:
        self.processes[name].send_signal(signal.SIGKILL)
        self.processes[name].wait()


@contextmanager
def cluster(folder: Path, *workers: str) -> Iterator[Cluster]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found = Cluster(folder, probe.getsockname()[1])
    found.start("scheduler")
    for name in workers:
        found.start(name)
    try:
        found.wait_for(len(workers))
        yield found
    finally:
        for process in found.processes.values():
            process.terminate()
        for process in found.processes.values():
            process.wait(30)
