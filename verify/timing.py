"""Times a runtime with an artifact: after warming up, single calls."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from bundle.errors import one_line
from bundle.tensors import Arrays
from verify.performance import Performance, Timing
from verify.process import RunnerProcess
from verify.trial import Answer, Trial, ask


@dataclass(frozen=True)
class Effort:
    """Calls to warm up, and then the most calls, which end early after so many seconds."""

    warm: int = 1
    calls: int = 7
    seconds: float = 0.5


QUICK, CAREFUL = Effort(), Effort(warm=5, calls=200, seconds=5.0)


def measured(trial: Trial, runner: RunnerProcess, effort: Effort) -> Performance:
    """Time one row, and the batch of the model's own data."""
    about: dict[str, Any] = {
        "model": trial.bundle.manifest.model,
        "format": trial.artifact.format,
        "variant": trial.artifact.variant,
        "runtime": trial.runtime.name,
        "signature": trial.signature,
    }
    try:
        return _measured(trial, runner, effort, about)
    except Exception as error:  # a full disk, a vector without inputs: no verdict is lost for it
        return Performance(**about, error=f"{type(error).__name__}: {one_line(error)}")


def _measured(
    trial: Trial, runner: RunnerProcess, effort: Effort, about: dict[str, Any]
) -> Performance:
    timings, load = [], None
    for rows, inputs in _batches(trial):
        seconds: list[float] = []
        for answer in _calls(trial, inputs, runner, effort):
            if answer.error:
                return Performance(**about, error=answer.error)
            seconds.append(answer.seconds)
            load = answer.load if answer.load is not None else load
        low, median, high = np.quantile(seconds[effort.warm :], (0.1, 0.5, 0.9)).tolist()
        count = len(seconds) - effort.warm
        timings.append(Timing(rows=rows, calls=count, median=median, low=low, high=high))
    return Performance(**about, load=load, memory=runner.peak or None, timings=tuple(timings))


def _batches(trial: Trial) -> Iterator[tuple[int, Arrays]]:
    own = trial.own_data
    if not trial.batched:
        yield 1, own
        return
    rows = len(next(iter(own.values())))
    yield 1, {name: array[:1] for name, array in own.items()}
    if rows > 1:
        yield rows, own


def _calls(trial: Trial, inputs: Arrays, runner: RunnerProcess, effort: Effort) -> Iterator[Answer]:
    """The answers, of which one beyond the warming up counts at least."""
    started = time.monotonic()
    for n in range(effort.warm + effort.calls):
        if n > effort.warm and time.monotonic() - started > effort.seconds:
            return
        yield ask(trial, inputs, runner, timed=True)
