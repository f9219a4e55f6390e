"""What one case gave for one output, and how the outcomes of a regime become one cell."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from portproof.bundle.float_format import Array
from portproof.bundle.manifest import DECIDING, Regime, Sweep, Vector
from portproof.bundle.report import Cell, Envelope, Errors, WorstElement
from portproof.bundle.signature import TensorSpec
from portproof.bundle.tensors import Arrays, in_group
from portproof.bundle.verdicts import PASSING, Verdict, worst
from portproof.comparing.arrays import Expected
from portproof.comparing.decisions import count_decisions, count_right, has_scores
from portproof.comparing.envelopes import Point, envelope, magnitude
from portproof.comparing.floors import below_floor
from portproof.comparing.judging import expected_of, judge, proves_nothing
from portproof.comparing.likeness import likeness
from portproof.comparing.metrics import NEGLIGIBLE, Metrics, merged
from portproof.comparing.yardstick import size_of_inputs
from portproof.verifying.asking import CallResult
from portproof.verifying.curves import is_plotted, ulp_errors
from portproof.verifying.trial import Trial

# The index of some rows -> their verdict and its reason.
_Judge = Callable[[Any], tuple[Verdict, str]]


@dataclass
class Outcome:
    """What one case gave for one output.

    Attributes:
        case: The case's name.
        verdict: Its verdict.
        reason: Why, where it is not `exact`.
        metrics: The comparison, if there was one.
        seconds: How long the runtime computed.
        note: What the runner noted of a good answer.
        sweep: The sweep that the case is.
        points: Of a sweep, each row by itself.
        errors: Of the model's own data, the errors of some elements, for a plot.
        lacks: What the runtime lacks, where the verdict is `unsupported`.
    """

    case: str
    verdict: Verdict
    reason: str
    metrics: Metrics | None = None
    seconds: float = 0.0
    note: str = ""
    sweep: Sweep | None = None
    points: list[Point] = field(default_factory=list)
    errors: Errors = ()
    lacks: str = ""


def outcomes_of(
    trial: Trial, vector: Vector, arrays: Arrays, result: CallResult
) -> dict[str, Outcome]:
    """Judge each output of one case. Raises KeyError where the case has no reference for one."""
    size = size_of_inputs(arrays)
    return {name: _outcome(trial, vector, name, arrays, result, size) for name in trial.outputs}


def _outcome(
    trial: Trial, vector: Vector, output: str, arrays: Arrays, result: CallResult, size: float
) -> Outcome:
    """Judge one output; `size` is that of the inputs."""
    spec, allowance = trial.signature.outputs[output], trial.allowance(output)
    expected = expected_of(arrays, output, trial.artifact.group)
    got = result.outputs.get(output)
    verdict, reason, metrics = judge(got, spec, expected, allowance)
    if verdict == "wrong" and metrics and got is not None:
        references = in_group(arrays, "reference")
        others = {name: array for name, array in references.items() if name != output}
        known = likeness(got, expected.reference, others)
        reason = "; ".join(filter(None, [reason, known]))
    outcome = Outcome(vector.case, verdict, reason, metrics, result.seconds, result.note)
    if got is None or metrics is None:
        return outcome
    outcome.metrics = replace(
        metrics,
        sum_negligible=metrics.finite * (NEGLIGIBLE * size) ** 2,
        **_decisions(trial, output, arrays, got),
    )
    if vector.regime == "typical" and is_plotted(trial.outputs, output):
        outcome.errors = ulp_errors(got, expected.oracle)
    if vector.sweep:
        outcome.sweep = vector.sweep
        swept = arrays[f"inputs/{vector.sweep.input}"]

        def judged(rows: Any) -> tuple[Verdict, str]:
            return judge(got[rows], spec, expected.rows(rows), allowance)[:2]

        for row, point in _sweep_points(swept, expected, spec, judged, trial.signature.batched):
            sizes = magnitude(swept[row]), magnitude(expected.rows(row).reference)
            outcome.points.append(Point(*sizes, *point))
    return outcome


def _decisions(trial: Trial, output: str, arrays: Arrays, got: Array) -> dict[str, Any]:
    """Of scores, as fields of metrics: whether a variant chooses alike, and what it gets right."""
    reference, labels = arrays[f"reference/{output}"], arrays.get(f"labels/{output}")
    counted: dict[str, Any] = {}
    if trial.artifact.variant and has_scores(output, reference):
        decided, same = count_decisions(got, reference, trial.floor.noise)
        counted |= {"decided": decided, "same": same}
    if labels is not None and len(labels) == len(got):
        counted |= {
            "labelled": len(labels),
            "right": count_right(got, labels),
            "reference_right": count_right(reference, labels),
        }
    return counted


def _sweep_points(
    swept: Array, expected: Expected, spec: TensorSpec, judged: _Judge, batched: bool
) -> Iterator[tuple[Any, tuple[Verdict, str]]]:
    """The index of each point of a sweep, and its verdict; none where the output mixes all rows."""
    if not batched:
        yield ..., judged(...)
    elif spec.shape[:1] == (None,) and len(expected.reference) == len(swept):
        yield from _row_by_row(0, len(swept), judged)


def _row_by_row(
    first: int, end: int, judged: _Judge
) -> Iterator[tuple[slice, tuple[Verdict, str]]]:
    """Each row's verdict: that of many together where they are faithful, which is much cheaper.

    Each element of them is within its bound then. (On average a single row may be beyond it.)
    """
    together = judged(slice(first, end))
    if together[0] in ("exact", "faithful") or end - first == 1:
        yield from ((slice(n, n + 1), together) for n in range(first, end))
        return
    middle = (first + end) // 2
    yield from _row_by_row(first, middle, judged)
    yield from _row_by_row(middle, end, judged)


def merge(
    trial: Trial, output: str, regime: Regime, outcomes: Sequence[Outcome], typical: Verdict
) -> Cell:
    """One cell of all the cases of a regime: the worst verdict, the metrics of all together.

    `typical` is the output's verdict on the model's own data, from which an envelope starts.
    """
    if not outcomes:
        return trial.cell(output, regime, "failed", detail="the bundle has no vectors for this")
    judged = [outcome for outcome in outcomes if outcome.verdict != "absent"]
    if len(judged) < len(outcomes) and all(outcome.verdict in PASSING for outcome in judged):
        # Nobody was there to compute the others: what is missing is never a pass.
        reason = next(o.reason for o in outcomes if o.verdict == "absent")
        return trial.cell(output, regime, "absent", detail=reason)
    outcomes = judged
    with_metrics = [outcome for outcome in outcomes if outcome.metrics]
    metrics = merged([o.metrics for o in with_metrics if o.metrics]) if with_metrics else None
    verdict = worst([outcome.verdict for outcome in outcomes])
    detail = _detail(outcomes, verdict)
    if not (metrics and metrics.samples) and verdict in PASSING:
        verdict, detail = "failed", "no element was compared"
    if metrics and verdict in PASSING and regime in DECIDING:
        reason = _no_proof(trial, output, verdict, metrics)
        verdict, detail = ("wrong", reason) if reason else (verdict, detail)
    fields: dict[str, Any] = {}
    if metrics:
        farthest = max(with_metrics, key=lambda o: o.metrics.worst_by if o.metrics else -1.0)
        fields = _metric_fields(metrics, farthest.case)
        fields["seconds"] = sum(outcome.seconds for outcome in outcomes)
    return trial.cell(
        output,
        regime,
        verdict,
        **fields,
        detail=detail,
        lacks=next((o.lacks for o in outcomes if o.verdict == verdict), ""),
        envelope=_envelopes(trial, output, outcomes, typical),
        errors=outcomes[0].errors,
    )


def _no_proof(trial: Trial, output: str, verdict: Verdict, metrics: Metrics) -> str:
    """What speaks against the cases of a regime together, each of which passed, or nothing."""
    if trial.shortcoming:
        return f"proves nothing: {trial.shortcoming}"
    if verdict == "exact":
        return ""
    if variant := trial.artifact.variant:
        budget = trial.allowance(output).budget
        return below_floor(metrics, trial.floor, variant, budget.step if budget else None)
    return proves_nothing(metrics)


def _detail(outcomes: Sequence[Outcome], verdict: Verdict) -> str:
    """The reason for the verdict; of a good one, what the runner noted."""
    told = {o.case: o.reason for o in outcomes if o.verdict == verdict and o.reason}
    if len(told) == len(outcomes) and len(set(told.values())) == 1:
        return outcomes[0].reason  # the same in every case: no case's fault
    reasons = [f"{case}: {reason}" for case, reason in told.items()]
    if not reasons:
        return "; ".join(dict.fromkeys(o.note for o in outcomes if o.note))
    return reasons[0] + (f" (and {len(reasons) - 1} more)" if reasons[1:] else "")


_PLAIN_FIELDS = (
    "max_abs",
    "mean_abs",
    "row_mean_abs",
    "max_rel",
    "mean_rel",
    "sqnr",
    "row_sqnr",
    "cosine",
    "row_cosine",
    "error_ratio",
    "bound_ratio",
    "bound_mean",
    "shader_ratio",
    "share_of_range",
    "relative_bound",
    "same_largest",
    "accuracy",
    "reference_accuracy",
)


def _metric_fields(metrics: Metrics, case: str) -> dict[str, Any]:
    """Metrics as the fields of a cell; `case` is the one with the worst element."""

    def finite(value: float | None) -> float | None:
        return value if value is not None and math.isfinite(value) else None

    worst_element = None
    if metrics.worst and not metrics.bit_equal:
        worst_element = WorstElement(case=case, **vars(metrics.worst))
    return {
        **{name: finite(getattr(metrics, name)) for name in _PLAIN_FIELDS},
        "max_ulp": metrics.max_ulp,
        "equal": metrics.equal / metrics.elements if metrics.elements else None,
        "flushed": metrics.flushed,
        "worst": worst_element,
        "samples": metrics.samples,
        "labelled": metrics.labelled,
    }


def _envelopes(
    trial: Trial, output: str, outcomes: Sequence[Outcome], typical: Verdict
) -> tuple[Envelope, ...]:
    """For each input that was swept, the region in which the output keeps its verdict."""
    by_input: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        if outcome.sweep:
            by_input.setdefault(outcome.sweep.input, []).append(outcome)
    if not by_input or typical not in PASSING:
        return ()
    inputs = trial.typical_inputs
    needed = worst([typical, "faithful"])
    envelopes = []
    for name, sweeps in by_input.items():
        points = [point for outcome in sweeps for point in outcome.points]
        assert sweeps[0].sweep
        formula = sweeps[0].sweep.of.get(output, "")
        envelopes.append(envelope(name, formula, magnitude(inputs[name]), points, needed))
    return tuple(region for region in envelopes if region)
