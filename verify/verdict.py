"""Metrics -> verdict: the one place that decides."""

from collections.abc import Sequence
from typing import Literal

from bundle.signature import TensorSpec
from bundle.tensors import Arrays
from verify.compare import Array, Metrics, compare, describe, is_float

Verdict = Literal["exact", "faithful", "close", "wrong", "failed", "absent"]

# From best to worst; `absent` is no grade.
GRADES: tuple[Verdict, ...] = ("exact", "faithful", "close", "wrong", "failed")
PASSING: frozenset[Verdict] = frozenset({"exact", "faithful", "close"})

ERROR_RATIO = 4.0
FLOOR_ULP = 4.0


def decide(metrics: Metrics, *, has_oracle: bool) -> tuple[Verdict, str]:
    """The verdict of one comparison, and its reason in a line where it is not `exact`.

    `faithful` is a float output whose largest error against the float64 oracle is at most
    `ERROR_RATIO` times the reference's own largest error, or at most `FLOOR_ULP` units in the last
    place of the output's largest magnitude. The reference's error is one sample of what rounding
    does to this graph on this input: another correct order of the same operations may be several
    times as unlucky. The floor is for outputs on which the reference happens to be (nearly) right.
    NaN and infinities must be where the reference has them. Integers must be exact.
    """
    if metrics.bit_equal:
        return "exact", ""
    if metrics.misplaced:
        return "wrong", metrics.misplaced
    if not has_oracle:
        return "wrong", f"differs by up to {metrics.max_abs:g}"
    assert metrics.error is not None
    assert metrics.reference_error is not None
    assert metrics.oracle_ulp is not None
    bound = max(ERROR_RATIO * metrics.reference_error, FLOOR_ULP * metrics.oracle_ulp)
    if metrics.error <= bound:
        return "faithful", ""
    return "wrong", f"error {metrics.error:.3g} against the oracle, where {bound:.3g} is allowed"


def judge(
    got: Array | None, spec: TensorSpec, reference: Array, oracle: Array | None
) -> tuple[Verdict, str, Metrics | None]:
    """Verdict, reason and metrics of one output of one call; `got` is None where there was none."""
    if got is None:
        return "wrong", "the output is missing", None
    if not spec.admits(got) or got.shape != reference.shape:
        return "wrong", f"{describe(got)} where the reference has {describe(reference)}", None
    if is_float(reference) and oracle is None:
        return "failed", "the bundle has no oracle for this output", None
    metrics = compare(got, reference, oracle)
    verdict, reason = decide(metrics, has_oracle=oracle is not None)
    return verdict, reason, metrics


def unexpected(outputs: Arrays, names: set[str]) -> str:
    """What is wrong with the names of a call's outputs, or nothing."""
    if extra := sorted(set(outputs) - names):
        return f"outputs that the signature does not have: {', '.join(extra)}"
    return ""


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """The worst of at least one verdict."""
    return max(verdicts, key=GRADES.index)
