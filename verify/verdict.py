"""Metrics -> verdict: the one place that decides."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bundle.manifest import Budget
from bundle.signature import TensorSpec
from bundle.tensors import Arrays
from verify.compare import Measure, compare, describe
from verify.float_format import Array, is_float
from verify.metrics import Metrics

Verdict = Literal["exact", "faithful", "close", "wrong", "failed", "absent"]

# From best to worst; `absent` is no grade.
GRADES: tuple[Verdict, ...] = ("exact", "faithful", "close", "wrong", "failed")
# 1 / (2 AMPLITUDE) of `oracle/rounding.py`, and AGAIN, which says why.
MEAN, AGAIN = 0.125, 2.0
PASSING: frozenset[Verdict] = frozenset({"exact", "faithful", "close"})


@dataclass(frozen=True)
class Allowance:
    """What an artifact or its runtime declares of itself, beyond rounding.

    `budget` is the artifact's own, of a variant that changes numbers; `shaded` are the functions
    in the graph of which a shader promises less, where the runtime computes in shaders.
    """

    budget: Budget | None = None
    shaded: tuple[str, ...] = ()


NOTHING = Allowance()


def decide(
    metrics: Metrics, allowance: Allowance = NOTHING, own: Metrics | None = None
) -> tuple[Verdict, str]:
    """The verdict of one comparison, and its reason in a line where it is not `exact`.

    NaN and infinities must be where the reference has them; integers must be exact. A float
    output is `faithful` where each element is at most as far from the oracle as rounding carries a
    correct evaluation of this graph on this input, which the bundle states for each element, and
    all of them on average at most a share of that. How it is derived, and why, is in
    `oracle/rounding.py`.

    `close` is what exceeds that and lies within what was declared, in this order: a shader's
    documented precision, zeros in the place of denormals, an artifact's budget. `own` are the
    metrics against the variant's own numbers, to which its budget of LSBs refers.
    """
    if metrics.bit_equal:
        return "exact", ""
    if metrics.misplaced:
        return "wrong", metrics.misplaced
    if metrics.bound_ratio is None:  # an integer
        return "wrong", f"differs by up to {metrics.max_ulp}{_where(metrics)}"
    on_average = mean_share(metrics)
    flushed = f"{metrics.flushed} denormals flushed to zero" if metrics.flushed else ""
    if metrics.bound_ratio <= 1 and on_average <= 1:
        return ("close", flushed) if flushed else ("faithful", "")
    if allowance.shaded and metrics.shader_ratio is not None and metrics.shader_ratio <= 1:
        reason = f"within what shaders promise of {', '.join(allowance.shaded)}"
        return "close", "; ".join(filter(None, [reason, flushed]))
    if allowance.budget:
        excess = over_budget(metrics, own or metrics, allowance.budget)
        return ("wrong", excess) if excess else ("close", f"within {allowance.budget}")
    if metrics.bound_ratio <= 1:
        return "wrong", f"{on_average:.3g} times the rounding error allowed on average"
    return "wrong", f"{metrics.bound_ratio:.3g} times the rounding error allowed{_where(metrics)}"


def mean_share(metrics: Metrics) -> float:
    """The mean error in units of what is allowed of a mean, by the second part of the rule.

    Of one element that is all of its bound, of many a share of it: MEAN + (1 - MEAN) / sqrt(n);
    or AGAIN times what the reference itself is off by, where that is more.
    """
    if metrics.bound_mean is None:
        return 0.0
    share = MEAN + (1 - MEAN) / math.sqrt(max(metrics.finite, 1))
    return metrics.bound_mean / max(share, AGAIN * metrics.reference_mean)


def over_budget(metrics: Metrics, own: Metrics, budget: Budget) -> str:
    """By what an output is outside a budget, or nothing."""
    if budget.step is not None:
        most, mean = own.max_abs / budget.step, own.mean_abs / budget.step
        for said, value, limit in (("", most, budget.lsb), ("on average ", mean, budget.mean_lsb)):
            if limit is not None and not value <= limit:
                return f"off by {said}{value:.3g} LSB, where {limit:.3g} is declared{_where(own)}"
    if budget.sqnr is not None and not metrics.row_sqnr >= budget.sqnr:
        return f"SQNR of a row is {metrics.row_sqnr:.3g} dB, where {budget.sqnr:g} is declared"
    return ""


def _where(metrics: Metrics) -> str:
    """The worst element, in words."""
    if metrics.worst is None:
        return ""
    index = f" at {list(metrics.worst.index)}" if metrics.worst.index else ""
    return f": {metrics.worst.got:.9g} where the reference has {metrics.worst.reference:.9g}{index}"


def judge(
    got: Array | None, spec: TensorSpec, measure: Measure, allowance: Allowance = NOTHING
) -> tuple[Verdict, str, Metrics | None]:
    """Verdict, reason and metrics of one output of one call; `got` is None where there was none."""
    reference = measure.reference
    if got is None:
        return "wrong", "the output is missing", None
    if not spec.admits(got) or got.shape != reference.shape:
        return "wrong", f"{describe(got)} where the reference has {describe(reference)}", None
    if is_float(reference.dtype) and (measure.oracle is None or measure.rounding is None):
        return "failed", "the bundle has no oracle for this output", None
    metrics = compare(got, measure)
    own = None if measure.own is None else compare(got, Measure(measure.own))
    return *decide(metrics, allowance, own), metrics


def unexpected(outputs: Arrays, names: set[str]) -> str:
    """What is wrong with the names of a call's outputs, or nothing."""
    if extra := sorted(set(outputs) - names):
        return f"outputs that the signature does not have: {', '.join(extra)}"
    return ""


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """The worst of at least one verdict."""
    return max(verdicts, key=GRADES.index)
