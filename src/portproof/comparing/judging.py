"""Metrics -> verdict: the one place that decides."""

import math
from dataclasses import dataclass
from statistics import NormalDist

from portproof.bundle.float_format import Array, is_float
from portproof.bundle.manifest import Budget
from portproof.bundle.signature import TensorSpec
from portproof.bundle.tensors import Arrays
from portproof.bundle.verdicts import Verdict
from portproof.comparing.arrays import Expected, compare, describe
from portproof.comparing.metrics import Metrics

# The share of its bound that a mean error may use: 1 / (2 AMPLITUDE); and the factor on the
# reference's own mean error. `oracle/rounding.py` says why.
MEAN_SHARE, REFERENCE_FACTOR = 0.125, 2.0


# A bound is the largest of so many samples. The more elements there are, the smaller is the
# smallest of their bounds by chance; of this many it is as it should be.
SAMPLES, FEW_ELEMENTS = 16, 10_000
# An output whose bound is larger than itself proves nothing.
PROVES_NOTHING = 1.0


@dataclass(frozen=True)
class Allowance:
    """What is allowed beyond rounding.

    Attributes:
        budget: The artifact's own, of a variant that changes numbers.
        shader_ops: The ops in the graph of which shaders promise less, where the runtime computes
            in shaders.
    """

    budget: Budget | None = None
    shader_ops: tuple[str, ...] = ()


NOTHING = Allowance()


def decide(
    metrics: Metrics, allowance: Allowance = NOTHING, variant: Metrics | None = None
) -> tuple[Verdict, str]:
    """The verdict of one comparison, and its reason in a line where it is not `exact`.

    NaN and infinities must be where the reference has them; integers must be exact. A float
    output is `faithful` where each element is at most as far from the oracle as rounding carries a
    correct evaluation of this graph on this input, which the bundle states for each element, and
    all of them on average at most a share of that. `oracle/rounding.py` derives it.

    `close` is beyond that and within what was declared, in this order: a shader's documented
    precision, zeros in the place of denormals, an artifact's budget.

    Args:
        metrics: The comparison with reference and oracle.
        allowance: What is declared.
        variant: The comparison with the variant's own numbers, to which its budget of LSBs refers.
    """
    if metrics.bit_equal:
        return "exact", ""
    if metrics.misplaced:
        return "wrong", metrics.misplaced
    if metrics.bound_ratio is None:  # an integer
        return "wrong", f"differs by up to {metrics.max_ulp}{_worst_element(metrics)}"
    on_average = mean_share(metrics)
    flushed = f"{metrics.flushed} denormals flushed to zero" if metrics.flushed else ""
    largest = largest_ratio(metrics.finite)
    if metrics.bound_ratio <= largest and on_average <= 1:
        return ("close", flushed) if flushed else ("faithful", "")
    if (
        allowance.shader_ops
        and metrics.shader_ratio is not None
        and metrics.shader_ratio <= largest
    ):
        reason = f"within what shaders promise of {', '.join(allowance.shader_ops)}"
        return "close", "; ".join(filter(None, [reason, flushed]))
    if allowance.budget:
        excess = over_budget(metrics, variant or metrics, allowance.budget)
        return ("wrong", excess) if excess else ("close", f"within {allowance.budget}")
    if metrics.bound_ratio <= largest:
        return "wrong", f"{on_average:.3g} times the rounding error allowed on average"
    times = f"{metrics.bound_ratio:.3g} times the rounding error allowed"
    return "wrong", times + _worst_element(metrics)


def proves_nothing(metrics: Metrics) -> str:
    """Why what is within its bounds is not proven by that, or nothing.

    Where bounds are larger than the values, everything of their size is within.
    """
    # What is close may be so by a shader's bounds, or within the plain ones but for denormals.
    is_within = (metrics.bound_ratio or 0.0) <= largest_ratio(metrics.finite)
    bound = metrics.relative_bound if is_within else metrics.relative_shader_bound
    if not metrics.max_abs or bound is None or bound < PROVES_NOTHING:
        return ""
    return (
        f"proves nothing: what rounding may do to this output is {bound:.3g} times its own size; "
        "give inputs for which it is no difference of nearly equal numbers"
    )


def largest_ratio(elements: int) -> float:
    """How far beyond its bound the farthest of so many elements may be by chance.

    The largest of `SAMPLES` normal deviations is below t in (2 Phi(t) - 1)^SAMPLES of all cases. Of
    n elements one has a bound as small as the t for which that is 1 / n. It is compared with that
    of `FEW_ELEMENTS`, for which the amplitude was chosen: 1.4 for a million.
    """

    def smallest(n: int) -> float:
        return NormalDist().inv_cdf((1 + n ** (-1 / SAMPLES)) / 2)

    return smallest(FEW_ELEMENTS) / smallest(max(elements, FEW_ELEMENTS))


def mean_share(metrics: Metrics) -> float:
    """The mean error in units of what is allowed of a mean, by the second part of the rule."""
    return 0.0 if metrics.bound_mean is None else metrics.bound_mean / mean_limit(metrics)


def mean_limit(metrics: Metrics) -> float:
    """How large the mean error may be, in units of what is allowed at each place.

    One element may use all of its bound, the mean of n of them MEAN_SHARE + (1 - MEAN_SHARE) /
    sqrt(n); or REFERENCE_FACTOR times the reference's own mean error, where that is more.
    """
    share = MEAN_SHARE + (1 - MEAN_SHARE) / math.sqrt(max(metrics.finite, 1))
    return max(share, REFERENCE_FACTOR * metrics.reference_mean)


def over_budget(metrics: Metrics, variant: Metrics, budget: Budget) -> str:
    """How far an output is outside a budget, or nothing."""
    if budget.step is not None:
        largest, mean = variant.max_abs / budget.step, variant.mean_abs / budget.step
        unit = f"steps of {budget.step:.3g}"
        limits = (("", largest, budget.lsb), ("on average ", mean, budget.mean_lsb))
        for words, value, limit in limits:
            if limit is not None and not value <= limit:
                place = _worst_element(variant)
                return f"off by {words}{value:.3g} {unit}, where {limit:.3g} is declared{place}"
    if budget.sqnr is not None and not metrics.row_sqnr >= budget.sqnr:
        return f"SQNR of a row is {metrics.row_sqnr:.3g} dB, where {budget.sqnr:g} is declared"
    return ""


def _worst_element(metrics: Metrics) -> str:
    if metrics.worst is None:
        return ""
    index = f" at {list(metrics.worst.index)}" if metrics.worst.index else ""
    return f": {metrics.worst.got:.9g} where the reference has {metrics.worst.reference:.9g}{index}"


def judge(
    got: Array | None, spec: TensorSpec, expected: Expected, allowance: Allowance = NOTHING
) -> tuple[Verdict, str, Metrics | None]:
    """Verdict, reason and metrics of one output of one call; `got` is None where there was none."""
    reference = expected.reference
    if got is None:
        return "wrong", "the output is missing", None
    if not spec.accepts(got) or got.shape != reference.shape:
        return "wrong", f"{describe(got)} where the reference has {describe(reference)}", None
    if is_float(reference.dtype) and (expected.oracle is None or expected.rounding is None):
        return "failed", "the bundle has no oracle for this output", None
    metrics = compare(got, expected)
    variant = None
    if expected.variant is not None:
        variant = compare(got, Expected(expected.variant))
    return *decide(metrics, allowance, variant), metrics


def unexpected_names(outputs: Arrays, names: set[str]) -> str:
    """What is wrong with the names of a call's outputs, or nothing."""
    if extra := sorted(set(outputs) - names):
        return f"outputs that the signature does not have: {', '.join(extra)}"
    return ""


def expected_of(arrays: Arrays, output: str, own: str = "") -> Expected:
    """The expected values of one output, of a case's arrays. KeyError without a reference.

    Args:
        arrays: The case's arrays.
        output: The output.
        own: The group of a variant's own numbers.
    """
    groups = ("oracle", "rounding", "shader", own)
    others = (arrays.get(f"{group}/{output}") for group in groups)
    return Expected(arrays[f"reference/{output}"], *others)
