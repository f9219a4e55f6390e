"""Times a runtime with an artifact: after warming up, single calls."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from portproof.bundle.errors import described
from portproof.bundle.report import Performance, Timing
from portproof.bundle.tensors import Arrays
from portproof.runtimes.process import RunnerProcess
from portproof.verifying.asking import CallResult, ask
from portproof.verifying.trial import Trial


@dataclass(frozen=True)
class TimingPlan:
    """Calls to warm up, then the number of calls, which end early after so many seconds."""

    warm_up: int = 1
    calls: int = 7
    seconds: float = 0.5


QUICK, CAREFUL = TimingPlan(), TimingPlan(warm_up=5, calls=200, seconds=5.0)


def measure_performance(trial: Trial, runner: RunnerProcess, plan: TimingPlan) -> Performance:
    """Time one row, and the batch of the model's own data."""
    identity: dict[str, Any] = {
        "model": trial.bundle.manifest.model,
        "format": trial.artifact.format,
        "variant": trial.artifact.variant,
        "runtime": trial.runtime.name,
        "signature": trial.signature_name,
    }
    try:
        return _measure(trial, runner, plan, identity)
    except Exception as error:  # a full disk, a vector without inputs: no verdict is lost for it
        return Performance(**identity, error=described(error))


def _measure(
    trial: Trial, runner: RunnerProcess, plan: TimingPlan, identity: dict[str, Any]
) -> Performance:
    timings, load = [], None
    for rows, inputs in _batches(trial):
        seconds: list[float] = []
        for result in _calls(trial, inputs, runner, plan):
            if result.error:
                return Performance(**identity, error=result.error)
            seconds.append(result.seconds)
            load = result.load if result.load is not None else load
        low, median, high = np.quantile(seconds[plan.warm_up :], (0.1, 0.5, 0.9)).tolist()
        count = len(seconds) - plan.warm_up
        timings.append(Timing(rows=rows, calls=count, median=median, low=low, high=high))
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


def _calls(
    trial: Trial, inputs: Arrays, runner: RunnerProcess, plan: TimingPlan
) -> Iterator[CallResult]:
    """The results, at least one of them after the warming up."""
    started = time.monotonic()
    for n in range(plan.warm_up + plan.calls):
        if n > plan.warm_up and time.monotonic() - started > plan.seconds:
            return
        yield ask(trial, inputs, runner, timed=True)
