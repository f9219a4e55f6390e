"""What a file of which nobody has the original gives in one runtime, to which others are held."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from portproof.bundle.bundle import Bundle
from portproof.bundle.errors import UsageError
from portproof.bundle.tensors import Arrays, in_group
from portproof.runtimes.process import Limits
from portproof.runtimes.runner import Runner
from portproof.runtimes.runtime import Runtime
from portproof.sandbox.sandbox import Sandbox
from portproof.verifying.asking import CallResult, ask
from portproof.verifying.selecting import rows_of
from portproof.verifying.trial import Trial, trials, versions_text

# Floating-point operations of XNNPACK in a second; see `selecting.CASE_OPERATIONS`.
_A_SECOND = 1e10


@dataclass(frozen=True)
class Answers:
    """What a runtime gave.

    Attributes:
        runtime: Its name.
        version: Its versions.
        outputs: By signature, the outputs of each case in the bundle's order.
        operations: By signature, the floating-point operations of a row, roughly, by the time that
            it took.
    """

    runtime: str
    version: str
    outputs: Mapping[str, Sequence[Arrays]]
    operations: Mapping[str, float]


class _NoAnswerError(Exception):
    """Why a runtime does not compute a case."""


def answers_of(
    bundle: Bundle,
    runtimes: Sequence[Runtime],
    limits: Limits,
    confined: Sandbox | None,
    log: Callable[[str], None],
) -> Answers:
    """What the first of some runtimes gives that computes all of a file.

    Args:
        bundle: The file, with inputs and without answers.
        runtimes: The runtimes, the one to be preferred first.
        limits: What each may use.
        confined: Where they are kept; None: they have all rights of this process.
        log: Called with each runtime's name as it begins.

    Raises UsageError where none of them computes it.
    """
    reasons = []
    for runtime in runtimes:
        if missing := runtime.missing():
            reasons.append(f"{runtime.name} is absent: {missing}")
            continue
        log(f"computing it in {runtime.name}, to which the others are held")
        runner = runtime.runner(limits, confined)
        try:
            results = {t.signature_name: _results(t, runner) for t in trials([bundle], runtime)}
            outputs = {name: [r.outputs for r in of] for name, of in results.items()}
            operations = {
                name: _operations(bundle, name, of, runtime.slowness)
                for name, of in results.items()
            }
            return Answers(runtime.name, versions_text(runner.versions), outputs, operations)
        except _NoAnswerError as error:
            reasons.append(f"{runtime.name}: {error}")
        finally:
            runner.stop()
    raise UsageError(f"nothing to hold other runtimes to: {'; '.join(reasons)}")


def _operations(
    bundle: Bundle, signature: str, results: Sequence[CallResult], slowness: float
) -> float:
    """Of the case that took least for each of its rows; a power of two, for it is no more exact."""
    rows = [rows_of(bundle.read(vector)) for vector in bundle.vectors(signature)]
    if not bundle.manifest.signatures[signature].batched:
        rows = [1] * len(rows)
    seconds = min(r.seconds / max(n, 1) for r, n in zip(results, rows, strict=True))
    return float(2 ** round(math.log2(max(seconds * _A_SECOND / slowness, 1.0))))


def _results(trial: Trial, runner: Runner) -> list[CallResult]:
    results = []
    for vector in trial.bundle.vectors(trial.signature_name):
        result = ask(trial, in_group(trial.bundle.read(vector), "inputs"), runner)
        if result.error:
            raise _NoAnswerError(result.error)
        if missing := sorted(set(trial.signature.outputs) ^ set(result.outputs)):
            raise _NoAnswerError(f"it gives other outputs than the file has: {', '.join(missing)}")
        results.append(result)
    return results
