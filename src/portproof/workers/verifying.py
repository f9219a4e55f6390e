"""Bundles -> a report of each host that ran some of it, by the workers of a Dask scheduler."""

import hashlib
import math
import secrets
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from distributed import Client, KilledWorker, Security, Variable, wait
from distributed.client import FutureCancelledError, FuturesCancelledError

from portproof.bundle.bundle import Bundle
from portproof.bundle.errors import UsageError, described
from portproof.bundle.reading import parsed
from portproof.bundle.report import Report
from portproof.publishing.stores import is_address
from portproof.runtimes.runtime import Runtime
from portproof.verifying.scheduling import OnCell, OnRuntime, run_cells
from portproof.workers import hush
from portproof.workers.bundles import BundleSource, check_size, packed
from portproof.workers.task import Options, Outcome, run_task
from portproof.workers.worker import MEMORY, RUNTIME

# Seconds that a scheduler, or the last worker with a runtime, is waited for that went away.
PATIENCE = 120.0
_POLL = 1.0
# Seconds to bring a report here that a worker has.
_RESULT = 60.0
# What says that the scheduler, or the way to it, was lost.
_LOST = (OSError, TimeoutError, FutureCancelledError, FuturesCancelledError)
# Tasks that a worker has beside those that it runs: it loses no more when it dies.
_AHEAD = 1
# GiB that a task counts for: a runner, and its artifact read, unpacked and computed with.
_RUNNER, _TIMES = 1.0, 4.0


@dataclass
class WorkerResults:
    """What the workers gave.

    Attributes:
        reports: By task, the reports.
        refused: By a bundle's path, why a worker refused it.
        lost: The runtimes that a worker had, and of which a task was not run all the same.
    """

    reports: dict[str, Report] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)


@dataclass
class _Task:
    """A bundle in a runtime.

    Attributes:
        path: The bundle's path or address.
        bundle: The bundle.
        runtime: The runtime.
        key: Its name among the tasks.
        memory: How many GiB it counts for.
        unseen_since: Since when no worker has what it takes; 0: one has.
    """

    path: str
    bundle: Bundle
    runtime: Runtime
    key: str
    memory: float
    unseen_since: float = 0.0


def verify_on_workers(
    scheduler: str,
    bundles: Mapping[str, Bundle],
    runtimes: Sequence[Runtime],
    options: Options,
    total_limit: float | None = None,
    on_cell: OnCell = lambda _: None,
    on_runtime: OnRuntime = lambda _, __: None,
) -> WorkerResults:
    """Have every bundle run in every runtime that a worker has.

    What no worker has is `absent` at once. What a worker was lost with goes to another one; what
    none came back for is `absent`, with the reason.

    Args:
        scheduler: The scheduler's address.
        bundles: By the path or address that the person named.
        runtimes: The runtimes.
        options: What goes with every task.
        total_limit: Seconds for all of it, after which what is left is `absent`; None: no limit.
        on_cell: Called with each cell, as the reports come in.
        on_runtime: Called with each runtime of a report, and its cells.

    Raises UsageError where there is no scheduler, or a bundle is too large for it.
    """
    until = time.monotonic() + (total_limit or math.inf)
    with _Run(scheduler, bundles, options, until, on_cell, on_runtime) as run:
        run.begin(runtimes)
        run.work()
    return run.results


@dataclass
class _Run:
    """One run; see `verify_on_workers`. `until` is a moment of `time.monotonic`."""

    scheduler: str
    bundles: Mapping[str, Bundle]
    options: Options
    until: float
    on_cell: OnCell
    on_runtime: OnRuntime
    results: WorkerResults = field(default_factory=WorkerResults)
    # What this run calls its tasks and variables.
    _name: str = field(default_factory=lambda: f"portproof-{secrets.token_hex(4)}")
    _client: Any = None
    _waiting: deque[_Task] = field(default_factory=deque)
    _running: dict[Any, _Task] = field(default_factory=dict)
    # By path, where workers get a bundle, while the scheduler has it.
    _sources: dict[str, BundleSource] = field(default_factory=dict)
    # By path, how many tasks are not done.
    _open: Counter[str] = field(default_factory=Counter)

    def __enter__(self) -> "_Run":
        self._client = _client(self.scheduler)
        return self

    def __exit__(self, *_: object) -> None:
        for path in list(self._sources):
            self._forget(path)
        with suppress(Exception):  # the scheduler may be gone
            self._client.close(timeout=5)

    def begin(self, runtimes: Sequence[Runtime]) -> None:
        """Note what is to be done, and name what no worker has."""
        workers = self._workers()
        for path, bundle in self.bundles.items():
            if not is_address(path):
                check_size(bundle)
            names = {artifact.name for artifact in bundle.manifest.artifacts}
            for runtime in runtimes:
                if names.isdisjoint(runtime.formats):
                    continue
                size = max(a.size for a in bundle.manifest.artifacts if a.name in runtime.formats)
                memory = _RUNNER + _TIMES * size / 2**30
                key = f"{self._name}-{bundle.digest[:16]}-{runtime.name}"
                task = _Task(path, bundle, runtime, key, memory)
                self._open[path] += 1
                if reason := _lacking(task, workers):
                    self._keep(task, _absent_report(task, reason, self.options))
                else:
                    self._waiting.append(task)

    def _source(self, path: str, bundle: Bundle) -> BundleSource:
        """Where workers get a bundle: the scheduler is given it with the first task."""
        if path not in self._sources:
            self._sources[path] = self._given(path, bundle)
        return self._sources[path]

    def _given(self, path: str, bundle: Bundle) -> BundleSource:
        if is_address(path):
            return BundleSource(bundle.digest, address=path)
        content, name = packed(bundle), f"{self._name}-{bundle.digest[:16]}"
        Variable(name, client=self._client).set(content)
        sha256 = hashlib.sha256(content).hexdigest()
        return BundleSource(bundle.digest, variable=name, sha256=sha256)

    def _forget(self, path: str) -> None:
        """Have the scheduler forget a bundle of which all is done."""
        source = self._sources.pop(path, None)
        if source and source.variable:
            with suppress(Exception):  # it may be gone
                Variable(source.variable, client=self._client).delete()

    def work(self) -> None:
        """Give tasks to workers, and take what they give, until all is done."""
        while self._waiting or self._running:
            if time.monotonic() > self.until:
                self._leave("the time for all of it was over: --total-limit")
                return
            try:
                workers = self._workers()
                self._give_up(workers)
                self._submit(workers)
                for future in self._ended():
                    self._take(future, self._running.pop(future))
            except _LOST:
                if not self._reconnected():
                    self._leave("the scheduler went away")
                    return

    def _leave(self, reason: str) -> None:
        for task in [*self._waiting, *self._running.values()]:
            self._absent(task, reason)
        for future in self._running:
            with suppress(Exception):  # the scheduler may be gone
                future.cancel()

    def _reconnected(self) -> bool:
        """Look for the scheduler, who does not know any more what it was given."""
        self._waiting.extendleft(self._running.values())
        self._running.clear()
        self._sources.clear()
        with suppress(Exception):
            self._client.close(timeout=1)
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            with suppress(UsageError):
                self._client = _client(self.scheduler)
                return True
            time.sleep(_POLL)
        return False

    def _workers(self) -> list[dict[str, Any]]:
        found = self._client.scheduler_info(n_workers=-1)["workers"]
        return [worker for worker in found.values() if MEMORY in worker["resources"]]

    def _give_up(self, workers: list[dict[str, Any]]) -> None:
        """Name what no worker came back for."""
        now = time.monotonic()
        for task in [*self._waiting, *self._running.values()]:
            reason = _lacking(task, workers)
            if not reason:
                task.unseen_since = 0.0
            elif not task.unseen_since:
                task.unseen_since = now
            elif now - task.unseen_since > PATIENCE:
                self._absent(task, f"{reason} any more")
                if task in self._waiting:
                    self._waiting.remove(task)
                for future in [f for f, t in self._running.items() if t is task]:
                    del self._running[future]
                    future.cancel()

    def _submit(self, workers: list[dict[str, Any]]) -> None:
        """Give out as many tasks as workers run, and one more each."""
        room = sum(worker["nthreads"] + _AHEAD for worker in workers) - len(self._running)
        while room > 0 and self._waiting:
            task = self._waiting[0]
            if task.path in self.results.refused:
                self._waiting.popleft()
                continue
            source = self._source(task.path, task.bundle)
            resources = {f"{RUNTIME}{task.runtime.name}": 1.0, MEMORY: task.memory}
            future = self._client.submit(
                run_task,
                source,
                task.runtime.name,
                self.options,
                key=f"{task.key}-{secrets.token_hex(3)}",
                resources=resources,
                pure=False,
            )
            self._running[future] = self._waiting.popleft()
            room -= 1

    def _ended(self) -> list[Any]:
        """What is done; raises one of `_LOST` where the scheduler forgot what it was given."""
        if not self._running:  # workers may be on their way
            time.sleep(_POLL)
        with suppress(TimeoutError), self._client.as_current():
            wait(list(self._running), timeout=_POLL, return_when="FIRST_COMPLETED")
        if any(future.status in ("cancelled", "lost") for future in self._running):
            raise ConnectionError("the scheduler was lost")
        return [f for f in self._running if f.status in ("finished", "error")]

    def _take(self, future: Any, task: _Task) -> None:
        try:
            outcome: Outcome = future.result(timeout=_RESULT)
        except _LOST:
            self._waiting.append(task)
            raise
        except KilledWorker:
            self._absent(task, "the workers that ran it were lost, one after the other")
            return
        except Exception as error:  # whatever goes wrong on another machine
            self._absent(task, f"the worker could not run it: {described(error)}")
            return
        if outcome.kind == "refused":
            self.results.refused[task.path] = f"{task.path}: {outcome.text}"
        elif outcome.kind == "unable":
            self._absent(task, outcome.text)
        elif report := _report_of(task, outcome.text):
            self._keep(task, report)
            self.on_runtime(task.runtime.name, report.cells)
        else:
            self._absent(task, "a worker answered for something else: has it this version?")

    def _keep(self, task: _Task, report: Report) -> None:
        self.results.reports[task.key] = report
        self._open[task.path] -= 1
        if not self._open[task.path]:
            self._forget(task.path)
        for cell in report.cells:
            self.on_cell(cell)

    def _absent(self, task: _Task, reason: str) -> None:
        """A worker had the runtime, and the task was not run: it counts as asked for."""
        self.results.lost.add(task.runtime.name)
        self._keep(task, _absent_report(task, reason, self.options))


def _client(scheduler: str) -> Client:
    """Raises UsageError where no scheduler answers."""
    hush()
    if scheduler.startswith("tls:") and not Security().get_connection_args("client")["ssl_context"]:
        raise UsageError(f"{scheduler}: Dask has no certificates here: see docs/fleet.md.")
    try:
        return Client(scheduler, timeout=15, set_as_default=False, name="portproof")
    except (OSError, TimeoutError, ValueError, RuntimeError, TypeError) as error:
        raise UsageError(
            f"{scheduler} is no scheduler that answers ({described(error)}): start one with `dask "
            "scheduler`, and workers with `portproof worker`."
        ) from None


def _absent_report(task: _Task, reason: str, options: Options) -> Report:
    absent = replace(task.runtime, obstacle=lambda: reason)
    return run_cells([task.bundle], [absent], targets=options.targets)


def _report_of(task: _Task, text: str) -> Report | None:
    """A worker's report; None where it is not of this task."""
    try:
        report = parsed(Report, text.encode())
    except ValueError:
        return None
    model = task.bundle.manifest.model
    is_of_task = report.bundle == {model: task.bundle.digest} and not report.refused
    cells = {(cell.model, cell.runtime) for cell in report.cells}
    return report if is_of_task and cells == {(model, task.runtime.name)} else None


def _lacking(task: _Task, workers: Sequence[dict[str, Any]]) -> str:
    """Why no worker can run a task, or nothing."""
    having = [w for w in workers if f"{RUNTIME}{task.runtime.name}" in w["resources"]]
    if not having:
        return "no worker has it"
    if all(worker["resources"][MEMORY] < task.memory for worker in having):
        return f"it counts for {math.ceil(task.memory)} GiB, and no worker has so many"
    return ""
