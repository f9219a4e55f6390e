"""Bundles -> Report: which processes run which cells, side by side and within limits."""

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from portproof.bundle.bundle import Bundle
from portproof.bundle.errors import UsageError
from portproof.bundle.manifest import Manifest
from portproof.bundle.report import Cell, Performance, Report
from portproof.comparing.floors import Floor
from portproof.runtimes.process import Limits, RunnerProcess
from portproof.runtimes.runtime import Runtime
from portproof.verifying.cells import absent_cells, run_trial
from portproof.verifying.curves import curves_of
from portproof.verifying.host import environment
from portproof.verifying.timing import QUICK, measure_performance
from portproof.verifying.trial import Trial, trials

OnCell = Callable[[Cell], None]
OnRuntime = Callable[[str, Sequence[Cell]], None]


def run_cells(
    bundles: Sequence[Bundle],
    runtimes: Sequence[Runtime],
    *,
    requested: Sequence[str] = (),
    refused: Mapping[str, str] | None = None,
    unknown_formats: Mapping[str, list[str]] | None = None,
    limits: Limits | None = None,
    strict: bool = False,
    targets: Mapping[str, Sequence[str]] | None = None,
    floors: Mapping[str, Mapping[str, Floor]] | None = None,
    on_cell: OnCell = lambda _: None,
    on_runtime: OnRuntime = lambda _, __: None,
) -> Report:
    """Run every artifact in every runtime that knows its format, and judge each cell.

    Runtimes with the same command share one process, started once; as many processes are at work
    as there are cores. Ctrl-C ends all processes at once, and gives the report so far.

    Args:
        bundles: The bundles, each of another model.
        runtimes: The runtimes.
        requested: The runtimes that the person named, by name or by a server's URL.
        refused: Goes into the report as it is.
        unknown_formats: Goes into the report as it is.
        limits: What each process may use.
        strict: Whether edge cases count for the exit status.
        targets: By model, the runtimes that it ships to.
        floors: By model and variant, the floors that are not the default ones.
        on_cell: Called from the processes' threads, one call at a time.
        on_runtime: Called in the same way with each runtime that ran, as it ends, and its cells.

    Raises UsageError where two bundles are of one model.
    """
    digests = {bundle.manifest.model: bundle.digest for bundle in bundles}
    if len(digests) < len(bundles):
        raise UsageError("two of the bundles are of one model: verify them one after the other.")
    workers = [
        _Worker(list(bundles), group, limits or Limits(), floors or {})
        for group in _groups(runtimes)
    ]
    cells: dict[str, list[Cell]] = {runtime.name: [] for runtime in runtimes}
    lock = threading.Lock()

    def work(worker: _Worker) -> None:
        try:
            for runtime in worker.runtimes:
                for cell in worker.cells(runtime):
                    with lock:
                        cells[cell.runtime].append(cell)
                        on_cell(cell)
                if worker.is_here and cells[runtime.name]:
                    with lock:
                        on_runtime(runtime.name, cells[runtime.name])
        finally:
            worker.stop()

    interrupted = _run_side_by_side(work, workers)
    manifests = [bundle.manifest for bundle in bundles]
    return Report(
        bundle=digests,
        refused=dict(refused or {}),
        left_out={
            manifest.model: {entry.format: entry.reason for entry in manifest.left_out}
            for manifest in manifests
            if manifest.left_out
        },
        notes={manifest.model: notes for manifest in manifests if (notes := _notes(manifest))},
        unknown_formats=dict(unknown_formats or {}),
        interrupted=interrupted,
        environment=environment({k: v for worker in workers for k, v in worker.versions.items()}),
        requested=tuple(requested),
        targets={
            model: tuple(names) for model, names in (targets or {}).items() if model in digests
        },
        strict=strict,
        sizes={
            m.model: {artifact.name: artifact.size for artifact in m.artifacts} for m in manifests
        },
        curves=[curve for bundle in bundles for curve in curves_of(bundle)],
        performance=[timed for worker in workers for timed in worker.performance],
        cells=[cell for of_runtime in cells.values() for cell in of_runtime],
    ).finished()


def _notes(manifest: Manifest) -> dict[str, tuple[str, ...]]:
    """What is worth knowing of a bundle beside its verdicts."""
    notes = {artifact.name: artifact.notes for artifact in manifest.artifacts if artifact.notes}
    of_vectors = []
    if manifest.generated_inputs:
        names = ", ".join(manifest.generated_inputs)
        of_vectors.append(f"no example inputs were given: those of {names} were generated")
    for signature, ops in manifest.float32_only_ops.items():
        of_vectors.append(f"the oracle of {signature} computes {', '.join(ops)} in float32")
    return {**notes, **({"vectors": tuple(of_vectors)} if of_vectors else {})}


def _run_side_by_side(work: Callable[["_Worker"], None], workers: list["_Worker"]) -> bool:
    """Have as many workers at work as there are cores. Whether Ctrl-C ended it."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        futures = [pool.submit(work, worker) for worker in workers]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException as error:
            for worker in workers:
                worker.close()
            for future in futures:
                future.cancel()
            if not isinstance(error, KeyboardInterrupt):
                raise
            return True
    return False


def _groups(runtimes: Sequence[Runtime]) -> list[list[Runtime]]:
    """The runtimes that share a process, together."""
    groups: dict[object, list[Runtime]] = {}
    for runtime in runtimes:
        absent = bool(runtime.missing())
        key = runtime.name if absent else runtime.process
        groups.setdefault(key, []).append(runtime)
    return list(groups.values())


class _Worker:
    """Runs the runtimes of one process, one after the other."""

    def __init__(
        self,
        bundles: list[Bundle],
        runtimes: list[Runtime],
        limits: Limits,
        floors: Mapping[str, Mapping[str, Floor]],
    ) -> None:
        self._floors = floors
        self._bundles, self.runtimes = bundles, runtimes
        first = runtimes[0]
        self._missing = first.missing()
        self._runner: RunnerProcess | None = None
        if not self._missing:
            self._runner = first.runner(limits)
        self._closed = False
        self.performance: list[Performance] = []

    def cells(self, runtime: Runtime) -> Iterator[Cell]:
        """All cells of one of these runtimes; ends early when closed."""
        for trial in trials(self._bundles, runtime, self._floors):
            passed = False
            for cell in self._run(trial):
                if self._closed:
                    return
                passed = passed or (cell.regime == "typical" and cell.passed)
                yield cell
            if passed and self._runner:
                self.performance.append(measure_performance(trial, self._runner, QUICK))

    @property
    def is_here(self) -> bool:
        return self._runner is not None

    def stop(self) -> None:
        if self._runner:
            self._runner.stop()

    def _run(self, trial: Trial) -> Iterator[Cell]:
        if self._runner is None:
            return absent_cells(trial, self._missing)
        self._runner.reset_peak_memory()
        return run_trial(trial, self._runner)

    def close(self) -> None:
        self._closed = True
        if self._runner:
            self._runner.close()

    @property
    def versions(self) -> dict[str, dict[str, str]]:
        """The versions that the runner reported, for each of its runtimes."""
        versions = self._runner.versions if self._runner else {}
        return {runtime.name: versions for runtime in self.runtimes if versions}
