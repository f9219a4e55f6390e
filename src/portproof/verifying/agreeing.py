"""One file in many runtimes, each held to one of them: where there is no original to hold it to."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from portproof.bundle.bundle import Bundle
from portproof.bundle.errors import UsageError
from portproof.bundle.tensors import Arrays, in_group
from portproof.comparing.arrays import Expected, compare, describe
from portproof.comparing.floors import floor_of
from portproof.comparing.metrics import Metrics, merged
from portproof.runtimes.process import Limits, RunnerProcess
from portproof.runtimes.runtime import Runtime
from portproof.sandbox.sandbox import Sandbox
from portproof.verifying.agreement import Agreement, Finding, Held
from portproof.verifying.asking import CallResult, ask
from portproof.verifying.trial import Trial, trials

# In plain float32, the signal to noise ratio below which two runtimes are apart: half of float32's
# 24 bits, of 6.02 dB each, are then no more the same. Variants have their floors (floors.py).
PLAIN_SQNR = 72.0

# By signature what each case gave, and the versions that the runner told.
_Computed = tuple[dict[str, list[CallResult]], str]


def agreement_of(
    bundle: Bundle,
    file: str,
    references: Sequence[Runtime],
    others: Sequence[Runtime],
    limits: Limits,
    confined: Sandbox | None,
    log: Callable[[str], None],
) -> Agreement:
    """Run a file in several runtimes, one after the other, and compare.

    Args:
        bundle: The file, with inputs and without answers.
        file: Its name.
        references: Runtimes to hold the others to: the first that computes it all.
        others: The others.
        limits: What each may use.
        confined: Where they are kept; None: they have all rights of this process.
        log: Called with each runtime's name as it begins.

    Raises UsageError where none of the references computes it.
    """
    [artifact] = bundle.manifest.artifacts
    floor = floor_of(artifact.variant).sqnr if artifact.variant else PLAIN_SQNR
    run = partial(_computed, bundle, limits=limits, confined=confined, log=log)
    reference, known, version = _reference(references, run, file)
    rows: list[Held] = []
    for runtime in (other for other in others if other.name != reference.name):
        if runtime.missing():
            rows += [
                Held(
                    runtime=runtime.name, signature=name, finding="absent", detail=runtime.missing()
                )
                for name in artifact.endpoints
            ]
            continue
        answers, own = run(runtime)
        for name, calls in answers.items():
            rows += [
                row.model_copy(update={"version": own})
                for row in _held(runtime.name, name, calls, known[name], floor)
            ]
    return Agreement(
        file=file,
        format=artifact.name,
        reference=reference.name,
        version=version,
        floor=floor,
        generated=bool(bundle.manifest.generated_inputs),
        constant=tuple(
            f"{name}/{output}"
            for name, calls in known.items()
            for output in calls[0].outputs
            if _is_constant(
                [call.outputs[output] for call in calls],
                by_row=bundle.manifest.signatures[name].batched,
            )
        ),
        rows=tuple(rows),
    )


def _is_constant(cases: Sequence[np.ndarray[Any, Any]], *, by_row: bool) -> bool:
    """Whether an output is the same for all inputs; of one alone, whether it is one number."""
    outputs = [row for array in cases for row in array] if by_row else list(cases)
    if len(outputs) == 1:
        outputs = list(outputs[0].ravel())
    return len({(np.shape(output), output.tobytes()) for output in outputs}) < 2


def _reference(
    references: Sequence[Runtime], run: Callable[[Runtime], _Computed], file: str
) -> tuple[Runtime, dict[str, list[CallResult]], str]:
    """The first runtime that computes all of it, and what it gave."""
    reasons = []
    for runtime in references:
        if missing := runtime.missing():
            reasons.append(f"{runtime.name} is absent: {missing}")
            continue
        answers, version = run(runtime)
        errors = [calls[-1].error for calls in answers.values() if calls[-1].error]
        if not errors:
            return runtime, answers, version
        reasons.append(f"{runtime.name}: {errors[0]}")
    raise UsageError(f"{file}: nothing to hold other runtimes to: {'; '.join(reasons)}")


def _computed(
    bundle: Bundle,
    runtime: Runtime,
    limits: Limits,
    confined: Sandbox | None,
    log: Callable[[str], None],
) -> _Computed:
    """By signature what each case gave, up to the first that gave nothing; and the versions."""
    log(f"computing it in {runtime.name}")
    runner = runtime.runner(limits, confined)
    try:
        answers = {
            trial.signature_name: _calls(trial, runner) for trial in trials([bundle], runtime)
        }
        return answers, ", ".join(f"{k} {v}" for k, v in runner.versions.items())
    finally:
        runner.stop()


def _calls(trial: Trial, runner: RunnerProcess) -> list[CallResult]:
    results: list[CallResult] = []
    for vector in trial.bundle.vectors(trial.signature_name):
        inputs = in_group(trial.bundle.read(vector), "inputs")
        results.append(ask(trial, inputs, runner))
        if results[-1].error:
            break
    return results


def _held(
    runtime: str, signature: str, got: list[CallResult], known: list[CallResult], floor: float
) -> list[Held]:
    last = got[-1]
    if last.error:
        finding: Finding = "unsupported" if last.lacks else "failed"
        return [Held(runtime=runtime, signature=signature, finding=finding, detail=last.error)]
    names = dict.fromkeys([*known[0].outputs, *got[0].outputs])
    pairs = [(call.outputs, other.outputs) for call, other in zip(got, known, strict=True)]
    return [_output(runtime, signature, name, pairs, floor) for name in names]


def _output(
    runtime: str, signature: str, name: str, pairs: list[tuple[Arrays, Arrays]], floor: float
) -> Held:
    def held(finding: Finding, **fields: Any) -> Held:
        return Held(runtime=runtime, signature=signature, output=name, finding=finding, **fields)

    measured: list[Metrics] = []
    for got, known in pairs:
        if name not in got or name not in known:
            return held("apart", detail="only one of them gives it")
        if (got[name].dtype, got[name].shape) != (known[name].dtype, known[name].shape):
            return held("apart", detail=f"{describe(got[name])} and not {describe(known[name])}")
        measured.append(compare(got[name], Expected(known[name])))
    metrics = merged(measured)
    figures = {
        "equal": metrics.equal / max(metrics.elements, 1),
        "largest": metrics.max_abs,
        "sqnr": metrics.sqnr if np.isfinite(metrics.sqnr) else None,
    }
    if metrics.misplaced:
        return held("apart", detail=metrics.misplaced.replace("the reference", "the other one"))
    if not metrics.elements:
        return held("failed", detail="gives nothing at all")
    if metrics.equal == metrics.elements:
        return held("same", **figures)
    if metrics.sqnr >= floor:
        return held("near", **figures)
    worst = metrics.worst
    at = f" at {list(worst.index)}" if worst and worst.index else ""
    detail = f"{worst.got:.6g} and not {worst.reference:.6g}{at}" if worst else ""
    return held("apart", detail=detail, **figures)
