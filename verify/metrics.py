"""What comparisons found, as numbers that can be merged over cases."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Worst:
    """The element that is farthest off: where, what was given, and what should have been."""

    index: tuple[int, ...]
    got: float
    reference: float


@dataclass(frozen=True)
class Metrics:
    """How far outputs are from the reference, and both from the float64 oracle.

    Distances are over all elements that are finite on both sides; `misplaced` says where NaN or an
    infinity is on one side alone, which no distance can express. A sample is a row: one index of
    the first dimension. `row_*` is what the worst row has for itself, which a mean would hide.

    Counts: `elements` in all, `finite` on both sides, bit-`equal`, `nonzero` in the reference and
    finite, and `flushed`: zero where the reference has a denormal, which no ratio includes.
    Differences from the reference: `abs`, `rel` (where the reference is not zero) and `ulp`; sums
    `signal` of reference^2, `power` of got^2, `dot` of got * reference, `noise` of their
    difference squared. Against the oracle: `error`, the `reference_error`, and `bound_ratio` and
    `shader_ratio`, the largest error in units of what is allowed at its place, None without one;
    `sum_ratio` sums the first of these, and `sum_reference` the same of the reference's own errors.
    """

    samples: int = 0
    elements: int = 0
    finite: int = 0
    equal: int = 0
    nonzero: int = 0
    flushed: int = 0
    sum_abs: float = 0.0
    sum_rel: float = 0.0
    sum_ratio: float = 0.0
    sum_reference: float = 0.0
    signal: float = 0.0
    power: float = 0.0
    dot: float = 0.0
    noise: float = 0.0
    max_abs: float = 0.0
    max_rel: float = 0.0
    max_ulp: int = 0
    row_mean_abs: float = 0.0
    row_sqnr: float = math.inf
    row_cosine: float = 1.0
    misplaced: str = ""
    worst: Worst | None = None
    worst_by: float = -1.0
    error: float | None = None
    reference_error: float | None = None
    bound_ratio: float | None = None
    shader_ratio: float | None = None

    @property
    def bit_equal(self) -> bool:
        return self.equal == self.elements

    @property
    def mean_abs(self) -> float:
        return self.sum_abs / max(self.finite, 1)

    @property
    def mean_rel(self) -> float:
        return self.sum_rel / max(self.nonzero, 1)

    @property
    def bound_mean(self) -> float | None:
        """The mean error in units of what is allowed at its place."""
        return None if self.bound_ratio is None else self.sum_ratio / max(self.finite, 1)

    @property
    def sqnr(self) -> float:
        """Signal to quantisation noise, 10 log10(signal / noise), in dB; infinite without noise."""
        return decibel(self.signal, self.noise)

    @property
    def cosine(self) -> float:
        """Of the angle between the two; 1 where both are all zeros, 0 where one is."""
        if self.signal == 0 or self.power == 0:
            return float(self.signal == self.power)
        return self.dot / math.sqrt(self.signal) / math.sqrt(self.power)

    @property
    def reference_mean(self) -> float:
        """The mean of the reference's own errors in units of what is allowed at their places."""
        return self.sum_reference / max(self.finite, 1)

    @property
    def error_ratio(self) -> float | None:
        """This error against the oracle over the reference's own. None where that one is zero."""
        if self.error is None or not self.reference_error:
            return None
        return self.error / self.reference_error


_SUMS = (
    *("samples", "elements", "finite", "equal", "nonzero", "flushed", "sum_abs", "sum_rel"),
    *("sum_ratio", "sum_reference", "signal", "power", "dot", "noise"),
)
_LARGEST = (
    *("max_abs", "max_rel", "max_ulp", "row_mean_abs", "error", "reference_error"),
    *("bound_ratio", "shader_ratio"),
)


def merged(metrics: Sequence[Metrics]) -> Metrics:
    """Several comparisons as one: counts and sums added, of the rest the worst.

    Raises ValueError where there is none.
    """

    def largest(name: str) -> Any:
        found = [value for m in metrics if (value := getattr(m, name)) is not None]
        return max(found, default=None)

    farthest = max(metrics, key=lambda m: m.worst_by)
    return Metrics(
        **{name: sum(getattr(m, name) for m in metrics) for name in _SUMS},
        **{name: largest(name) for name in _LARGEST},
        row_sqnr=min(m.row_sqnr for m in metrics),
        row_cosine=min(m.row_cosine for m in metrics),
        misplaced=next((m.misplaced for m in metrics if m.misplaced), ""),
        worst=farthest.worst,
        worst_by=farthest.worst_by,
    )


def decibel(signal: float, noise: float) -> float:
    """10 log10(signal / noise); infinite without noise, and NaN where both overflowed."""
    if noise == 0 or signal == math.inf:
        return math.inf if noise != math.inf else math.nan
    return 10 * math.log10(signal / noise) if signal else -math.inf
