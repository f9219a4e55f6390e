"""Times a runtime with an artifact: after warming up, single calls."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from portproof.bundle.errors import described
from portproof.bundle.report import Performance, Timing
from portproof.bundle.tensors import Arrays
from portproof.runtimes.runner import Runner
from portproof.verifying.asking import CallResult, ask
from portproof.verifying.trial import Trial


@dataclass(frozen=True)
class TimingPlan:
    """Calls to warm up, then the number of calls, which end early after so many seconds."""

    warm_up: int
    calls: int
    seconds: float


# What a verification notes in passing, after the calls that it judged; and what a benchmark does.
QUICK = TimingPlan(warm_up=0, calls=3, seconds=0.25)
CAREFUL = TimingPlan(warm_up=5, calls=200, seconds=5.0)


def measure_performance(
    trial: Trial,
    runner: Runner,
    plan: TimingPlan,
    known: Mapping[int, Sequence[float]] = MappingProxyType({}),
) -> Performance:
    """Time one row, and the batch of the model's own data.

    Args:
        trial: The trial.
        runner: Its process, which is warm where `known` has something.
        plan: How many calls, and for how long.
        known: By number of rows, the seconds of calls so far. Where these are long ones, no more
            are made: the first one, which may have compiled something, is no measure.
    """
    identity: dict[str, Any] = {
        "model": trial.bundle.manifest.model,
        "format": trial.artifact.format,
        "variant": trial.artifact.variant,
        "runtime": trial.runtime.name,
        "signature": trial.signature_name,
    }
    try:
        return _measure(trial, runner, plan, known, identity)
    except Exception as error:  # a full disk, a vector without inputs: no verdict is lost for it
        return Performance(**identity, error=described(error))


def _measure(
    trial: Trial,
    runner: Runner,
    plan: TimingPlan,
    known: Mapping[int, Sequence[float]],
    identity: dict[str, Any],
) -> Performance:
    timings, load = [], None
    for rows, inputs in _batches(trial):
        seconds = list(known.get(rows, ()))[1:]
        if not any(len(c) > 1 and min(c) > plan.seconds / 2 for c in known.values()):
            results = list(_calls(trial, inputs, runner, plan))
            if error := next((result.error for result in results if result.error), ""):
                return Performance(**identity, error=error)
            seconds = [result.seconds for result in results[plan.warm_up :]]
            load = next((r.load for r in results if r.load is not None), load)
        if seconds:
            low, median, high = np.quantile(seconds, (0.1, 0.5, 0.9)).tolist()
            timings.append(Timing(rows=rows, calls=len(seconds), median=median, low=low, high=high))
    if not timings:
        return Performance(**identity, error="no call of it could be timed twice")
    memory = runner.peak_memory or None
    return Performance(**identity, load=load, memory=memory, timings=tuple(timings))


def _batches(trial: Trial) -> Iterator[tuple[int, Arrays]]:
    inputs = trial.typical_inputs
    if not trial.signature.batched:
        yield 1, inputs
        return
    rows = len(next(iter(inputs.values())))
    yield 1, {name: array[:1] for name, array in inputs.items()}
    if rows > 1:
        yield rows, inputs


def _calls(trial: Trial, inputs: Arrays, runner: Runner, plan: TimingPlan) -> Iterator[CallResult]:
    """The results, at least one of them after the warming up."""
    started = time.monotonic()
    for n in range(plan.warm_up + plan.calls):
        if n > plan.warm_up and time.monotonic() - started > plan.seconds:
            return
        yield ask(trial, inputs, runner, timed=True)
