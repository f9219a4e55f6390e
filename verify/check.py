"""Bundles -> Report: which cells, in what order, with what limits."""

import os
import platform
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from importlib.metadata import version
from pathlib import Path

from bundle.bundle import Bundle
from bundle.errors import UsageError
from bundle.manifest import Manifest
from verify import trial
from verify.curves import of_bundle
from verify.performance import Performance
from verify.process import Limits, RunnerProcess
from verify.report import Cell, Environment, Report, finished
from verify.runtimes.runtime import Runtime
from verify.timing import QUICK, measured

OnCell = Callable[[Cell], None]


def check(
    bundles: Sequence[Bundle],
    runtimes: Sequence[Runtime],
    *,
    asked: Sequence[str] = (),
    refused: Mapping[str, str] | None = None,
    unknown: Mapping[str, list[str]] | None = None,
    limits: Limits | None = None,
    strict: bool = False,
    on_cell: OnCell = lambda _: None,
) -> Report:
    """Run every artifact in every runtime that knows its format, and judge each cell.

    Runtimes with the same command share one process, started once; as many processes are at work
    as there are cores. `on_cell` is called from their threads, one call at a time. `asked` are
    the runtimes that the person named, by name or by a server's URL. `refused` and `unknown` go
    into the report as they are. Ctrl-C ends all processes at once, and gives the report so far.
    Raises UsageError where two bundles are of one model.
    """
    digests = {bundle.manifest.model: bundle.digest for bundle in bundles}
    if len(digests) < len(bundles):
        raise UsageError("two of the bundles are of one model: verify them one after the other.")
    crews = [_Crew(list(bundles), crew, limits or Limits()) for crew in _by_command(runtimes)]
    cells: dict[str, list[Cell]] = {runtime.name: [] for runtime in runtimes}
    lock = threading.Lock()

    def work(crew: _Crew) -> None:
        for cell in crew.cells():
            with lock:
                cells[cell.runtime].append(cell)
                on_cell(cell)

    interrupted = _side_by_side(work, crews)
    versions = {name: v for crew in crews for name, v in crew.versions.items()}
    return finished(
        Report(
            bundle=digests,
            refused=dict(refused or {}),
            left_out={
                bundle.manifest.model: {one.format: one.reason for one in bundle.manifest.left_out}
                for bundle in bundles
                if bundle.manifest.left_out
            },
            notes={b.manifest.model: notes for b in bundles if (notes := _notes(b.manifest))},
            unknown=dict(unknown or {}),
            interrupted=interrupted,
            environment=_environment(versions),
            asked=tuple(asked),
            strict=strict,
            sizes={
                b.manifest.model: {a.name: a.size for a in b.manifest.artifacts} for b in bundles
            },
            curves=[curve for bundle in bundles for curve in of_bundle(bundle)],
            performance=[one for crew in crews for one in crew.performance],
            cells=[cell for found in cells.values() for cell in found],
        )
    )


def _notes(manifest: Manifest) -> dict[str, tuple[str, ...]]:
    """What is to be known of a bundle beside its verdicts."""
    notes = {artifact.name: artifact.notes for artifact in manifest.artifacts if artifact.notes}
    said = []
    if manifest.drawn:
        names = ", ".join(manifest.drawn)
        said.append(f"no example inputs were given: those of {names} were drawn")
    for signature, ops in manifest.narrow.items():
        said.append(f"the oracle of {signature} computes {', '.join(ops)} in float32")
    return {**notes, **({"vectors": tuple(said)} if said else {})}


def _side_by_side(work: Callable[["_Crew"], None], crews: list["_Crew"]) -> bool:
    """Have as many crews at work as there are cores. Whether Ctrl-C ended it."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        futures = [pool.submit(work, crew) for crew in crews]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException as error:
            for crew in crews:
                crew.close()
            for future in futures:
                future.cancel()
            if not isinstance(error, KeyboardInterrupt):
                raise
            return True
    return False


def _by_command(runtimes: Sequence[Runtime]) -> list[list[Runtime]]:
    """The runtimes that share a process, together."""
    crews: dict[object, list[Runtime]] = {}
    for runtime in runtimes:
        absent = bool(runtime.missing())
        key = runtime.name if absent else (*runtime.command(), *runtime.environment.items())
        crews.setdefault(key, []).append(runtime)
    return list(crews.values())


class _Crew:
    """The runtimes of one process, one after the other."""

    def __init__(self, bundles: list[Bundle], runtimes: list[Runtime], limits: Limits) -> None:
        self._bundles, self._runtimes = bundles, runtimes
        first = runtimes[0]
        self._missing = first.missing()
        self._runner: RunnerProcess | None = None
        if not self._missing:
            self._runner = RunnerProcess(first.command(), first.environment, limits)
        self._closed = False
        self.performance: list[Performance] = []

    def cells(self) -> Iterator[Cell]:
        """All cells of these runtimes; ends early when closed."""
        try:
            for runtime in self._runtimes:
                for one in trial.trials(self._bundles, runtime):
                    ran = False
                    for cell in self._run(one):
                        if self._closed:
                            return
                        ran = ran or (cell.regime == "typical" and cell.passed)
                        yield cell
                    if ran and self._runner:
                        self.performance.append(measured(one, self._runner, QUICK))
        finally:
            if self._runner:
                self._runner.stop()

    def _run(self, one: trial.Trial) -> Iterator[Cell]:
        if self._runner:
            self._runner.forget()
            return trial.run(one, self._runner)
        return trial.absent(one, self._missing)

    def close(self) -> None:
        self._closed = True
        if self._runner:
            self._runner.close()

    @property
    def versions(self) -> dict[str, dict[str, str]]:
        """What the runner said of itself, for each of its runtimes."""
        said = self._runner.versions if self._runner else {}
        return {runtime.name: said for runtime in self._runtimes if said}


def _environment(runtimes: dict[str, dict[str, str]]) -> Environment:
    return Environment(
        platform=platform.platform(),
        processor=_processor(),
        python=platform.python_version(),
        portproof=version("portproof"),
        runtimes=runtimes,
    )


def _processor() -> str:
    """The processor's name, where the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor()
