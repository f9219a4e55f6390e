"""Bundles -> Report: which processes run which cells, side by side and within limits."""

import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from functools import partial

import psutil

from portproof.bundle.bundle import Bundle
from portproof.bundle.errors import UsageError
from portproof.bundle.manifest import Manifest
from portproof.bundle.report import NO_SANDBOX, Cell, NotRun, Performance, Report
from portproof.comparing.floors import Floor
from portproof.runtimes.host import environment
from portproof.runtimes.process import Limits
from portproof.runtimes.runner import Runner
from portproof.runtimes.runtime import Runtime
from portproof.sandbox.sandbox import Sandbox
from portproof.verifying.cells import Budget, TrialRun, absent_cells
from portproof.verifying.curves import curves_of
from portproof.verifying.shortcomings import shortcomings_of
from portproof.verifying.timing import QUICK, measure_performance
from portproof.verifying.trial import trials

# Of the time that what decides took in all processes, the share that all edge cases may take.
EDGE_SHARE = 0.25
# Seconds for the whole, where nobody says how many: for each artifact's signature in each runtime,
# which takes a second or two, and at least so many.
TRIAL_SECONDS, MIN_TOTAL = 60.0, 300.0
# Calls that may take all of their time limit.
MIN_CALLS = 10
# Of the machine's memory, what has to be free for a process to stay for its edge cases.
_FREE_SHARE = 0.25

OnCell = Callable[[Cell], None]
OnRuntime = Callable[[str, Sequence[Cell]], None]


def run_cells(
    bundles: Sequence[Bundle],
    runtimes: Sequence[Runtime],
    *,
    requested: Sequence[str] = (),
    unknown_formats: Mapping[str, list[str]] | None = None,
    limits: Limits | None = None,
    total_limit: float | None = None,
    strict: bool = False,
    edge_share: float = EDGE_SHARE,
    targets: Mapping[str, Sequence[str]] | None = None,
    floors: Mapping[str, Mapping[str, Floor]] | None = None,
    sandbox: Sandbox | None = None,
    on_cell: OnCell = lambda _: None,
    on_runtime: OnRuntime = lambda _, __: None,
) -> Report:
    """Run every artifact in every runtime that knows its format, and judge each cell.

    Runtimes with the same command share one process, started once; one process more is at work
    than there are cores, those that take longest first. What decides is run in all of them before
    any edge case, which then may take a share of the time, the fastest runtimes first. Ctrl-C
    ends all processes at once, and gives the report so far: a whole one if only edge cases are
    missing.

    Args:
        bundles: The bundles, each of another model.
        runtimes: The runtimes.
        requested: The runtimes that the person named, by name or by a server's URL.
        unknown_formats: Goes into the report as it is.
        limits: What each process may use.
        total_limit: Seconds for all of it, after which what is left is `failed`; None: in
            proportion to what there is to run, and none where all edge cases are.
        strict: Whether edge cases count for the exit status, so that all are run.
        edge_share: Of the time that what decides took, the share that edge cases may take; 0: none
            are run, infinite: all are.
        targets: By model, the runtimes that it ships to.
        floors: By model and variant, the floors that are not the default ones.
        sandbox: Where the runners are kept; None: they have all rights of this process.
        on_cell: Called from the processes' threads, one call at a time.
        on_runtime: Called in the same way with each runtime that ran, as it ends, and its cells.

    Raises UsageError where two bundles are of one model.
    """
    digests = {bundle.manifest.model: bundle.digest for bundle in bundles}
    if len(digests) < len(bundles):
        raise UsageError("two of the bundles are of one model: verify them one after the other.")
    limits = limits or Limits()
    number = sum(1 for runtime in runtimes for _ in trials(list(bundles), runtime))
    usual = max(MIN_TOTAL, TRIAL_SECONDS * number, MIN_CALLS * limits.request)
    edge_share = math.inf if strict else edge_share
    seconds = total_limit or (math.inf if edge_share == math.inf else usual)
    limits = replace(limits, until=time.monotonic() + seconds)
    short = {bundle.manifest.model: shortcomings_of(bundle) for bundle in bundles}
    workers = [
        _Worker(list(bundles), group, limits, floors or {}, short, sandbox)
        for group in _groups(runtimes)
    ]
    schedule = _Schedule(workers, on_cell, on_runtime)
    interrupted = schedule.run(edge_share, strict=strict)
    manifests = [bundle.manifest for bundle in bundles]
    return Report(
        bundle=digests,
        held_to={m.model: m.held_to.runtime for m in manifests if m.held_to},
        left_out={
            manifest.model: {entry.format: entry.reason for entry in manifest.left_out}
            for manifest in manifests
            if manifest.left_out
        },
        left_out_signatures={
            manifest.model: dict(manifest.left_out_signatures)
            for manifest in manifests
            if manifest.left_out_signatures
        },
        notes={manifest.model: notes for manifest in manifests if (notes := _notes(manifest))},
        unknown_formats=dict(unknown_formats or {}),
        interrupted=interrupted,
        environment=environment(
            {k: v for worker in workers for k, v in worker.versions.items()},
            sandbox.name if sandbox else NO_SANDBOX,
        ),
        requested=tuple(requested),
        targets={
            model: tuple(names) for model, names in (targets or {}).items() if model in digests
        },
        strict=strict,
        sizes={
            m.model: {artifact.name: artifact.size for artifact in m.artifacts} for m in manifests
        },
        curves=[curve for bundle in bundles for curve in curves_of(bundle)],
        shortcomings={model: by_name for model, by_name in short.items() if by_name},
        performance=[timed for worker in workers for timed in worker.performance],
        not_run=[entry for worker in workers for entry in worker.not_run],
        cells=schedule.cells([runtime.name for runtime in runtimes]),
    ).finished()


def _notes(manifest: Manifest) -> dict[str, tuple[str, ...]]:
    """What is worth knowing of a bundle beside its verdicts."""
    notes = {artifact.name: artifact.notes for artifact in manifest.artifacts if artifact.notes}
    of_vectors = []
    if manifest.generated_inputs:
        names = ", ".join(manifest.generated_inputs)
        of_vectors.append(f"no example inputs were given: those of {names} were generated")
    if manifest.held_to:
        of_vectors.append(f"the references are those of {manifest.held_to}, which is not on trial")
    for signature, ops in manifest.float32_only_ops.items():
        of_vectors.append(f"the oracle of {signature} computes {', '.join(ops)} in float32")
    return {**notes, **({"vectors": tuple(of_vectors)} if of_vectors else {})}


class _Schedule:
    """The processes at work: first all that decides, then the edge cases."""

    def __init__(self, workers: list["_Worker"], on_cell: OnCell, on_runtime: OnRuntime) -> None:
        self._workers = sorted(workers, key=lambda worker: -worker.slowness)
        self._on_cell, self._on_runtime = on_cell, on_runtime
        self._cells: dict[str, list[Cell]] = {}
        self._decided: list[_Worker] = []
        self._lock = threading.Lock()

    def cells(self, runtimes: Sequence[str]) -> list[Cell]:
        """The cells so far, in the order of the runtimes."""
        return [cell for runtime in runtimes for cell in self._cells.get(runtime, [])]

    def run(self, edge_share: float, *, strict: bool) -> bool:
        """Run all. Whether Ctrl-C ended it before everything that counts was done."""
        try:
            if _run_side_by_side(self._decide, self._workers):
                return True
            budget = Budget(edge_share * sum(worker.seconds for worker in self._workers))
            fastest_first = self._workers[::-1]
            return _run_side_by_side(partial(self._inform, budget), fastest_first) and strict
        finally:
            for worker in self._workers:
                worker.stop()

    def _decide(self, worker: "_Worker") -> None:
        for runtime in worker.runtimes:
            for cell in worker.deciding(runtime):
                self._take(cell)
            if worker.is_here and runtime.name in self._cells:
                with self._lock:
                    self._on_runtime(runtime.name, self._cells[runtime.name])
        self._decided.append(worker)
        if not _memory_is_ample():
            for finished in self._decided:
                finished.stop()

    def _inform(self, budget: Budget, worker: "_Worker") -> None:
        for cell in worker.edge(budget):
            self._take(cell)
        worker.stop()

    def _take(self, cell: Cell) -> None:
        with self._lock:
            self._cells.setdefault(cell.runtime, []).append(cell)
            self._on_cell(cell)


def _run_side_by_side(work: Callable[["_Worker"], None], workers: list["_Worker"]) -> bool:
    """Have one worker more at work than there are cores, for some wait. Whether Ctrl-C ended it."""
    with ThreadPoolExecutor((os.cpu_count() or 1) + 1) as pool:
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


def _memory_is_ample() -> bool:
    memory = psutil.virtual_memory()
    return bool(memory.available > _FREE_SHARE * memory.total)


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
        shortcomings: Mapping[str, Mapping[str, str]],
        sandbox: Sandbox | None,
    ) -> None:
        self._floors, self._shortcomings = floors, shortcomings
        self._bundles, self.runtimes = bundles, runtimes
        first = runtimes[0]
        self._missing = first.missing()
        self._runner: Runner | None = None
        if not self._missing:
            self._runner = first.runner(limits, sandbox)
        self._closed = False
        self.runs: list[TrialRun] = []
        self.seconds = 0.0
        self.performance: list[Performance] = []

    @property
    def slowness(self) -> float:
        """How long it takes, roughly, beside others."""
        return sum(runtime.slowness for runtime in self.runtimes) if self._runner else 0.0

    def deciding(self, runtime: Runtime) -> Iterator[Cell]:
        """The cells of one of these runtimes that decide; ends early when closed."""
        started = time.monotonic()
        for trial in trials(self._bundles, runtime, self._floors, self._shortcomings):
            if self._runner is None:
                yield from absent_cells(trial, self._missing)
                continue
            self._runner.reset_peak_memory()
            run = TrialRun(trial, self._runner)
            for cell in run.deciding():
                if self._closed:
                    return
                if not trial.gave_references(self._runner.versions):  # else it is held to itself
                    yield cell
            if trial.gave_references(self._runner.versions):
                continue
            self.runs.append(run)
            if run.passed:
                timed = measure_performance(trial, self._runner, QUICK, run.seconds)
                self.performance.append(timed)
        self.seconds += time.monotonic() - started

    def edge(self, budget: Budget) -> Iterator[Cell]:
        """The cells of edge cases, as far as a budget goes that all processes share."""
        for run in self.runs:
            for cell in run.edge(budget):
                if self._closed:
                    return
                yield cell

    @property
    def not_run(self) -> list[NotRun]:
        return [entry for run in self.runs for entry in run.not_run]

    @property
    def is_here(self) -> bool:
        return self._runner is not None

    def stop(self) -> None:
        if self._runner:
            self._runner.stop()

    def close(self) -> None:
        self._closed = True
        if self._runner:
            self._runner.close()

    @property
    def versions(self) -> dict[str, dict[str, str]]:
        """The versions that the runner reported, for each of its runtimes."""
        versions = self._runner.versions if self._runner else {}
        return {runtime.name: versions for runtime in self.runtimes if versions}
