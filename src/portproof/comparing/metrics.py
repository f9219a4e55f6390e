"""The results of comparisons, as numbers that can be merged over cases."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# The share of the inputs' size below which an output is zero but for rounding: some units in the
# last place of float32.
NEGLIGIBLE = 1e-6


@dataclass(frozen=True)
class Worst:
    """The element that is farthest off: where it is, its value, and the reference's value."""

    index: tuple[int, ...]
    got: float
    reference: float


@dataclass(frozen=True)
class Metrics:
    """How far outputs are from the reference, and both from the float64 oracle.

    Distances are over all elements that are finite on both sides. A sample is a row: one index of
    the first dimension.

    Attributes:
        samples: Rows that were compared.
        elements: Elements in all.
        finite: Elements that are finite on both sides.
        equal: Elements that are bit-equal.
        nonzero: Elements that are finite and not zero in the reference.
        flushed: Zeros where the reference has a denormal; no ratio includes them.
        sum_abs: Sum of the absolute differences from the reference.
        sum_rel: Sum of the relative differences, where the reference is not zero.
        sum_ratio: Sum of each error against the oracle in units of what is allowed there.
        sum_reference: The same of the reference's own errors.
        sum_allowed: Sum of the squares of what rounding allows at each place.
        sum_shader: The same of what shaders promise.
        sum_oracle: Sum of oracle^2.
        sum_negligible: The same of an output that is negligible beside the inputs; see NEGLIGIBLE.
        decided: Rows in which one element is the largest by more than noise; see `decisions.py`.
        same: How many of these have the same largest element.
        labelled: Rows that have a label.
        right: How many of these are given it.
        reference_right: How many of them the reference gives it.
        signal: Sum of reference^2.
        power: Sum of got^2.
        dot: Sum of got * reference.
        noise: Sum of the squared differences.
        max_abs: Largest absolute difference from the reference.
        max_rel: Largest relative difference.
        max_ulp: Largest difference in units in the last place; of integers, the difference.
        row_mean_abs: The mean absolute difference of the worst row, which a mean over all hides.
        row_sqnr: The signal to noise ratio of the worst row, in dB; see `row_signals`.
        row_cosine: The cosine of the worst row.
        low: The least finite value of the reference.
        high: The largest.
        misplaced: Where NaN or an infinity is on one side only, which no distance can express.
        worst: The element that is farthest off.
        worst_by: How far, in units of what is allowed, or absolutely without an oracle.
        error: Largest error against the oracle; None without one.
        reference_error: The reference's own largest error against it.
        bound_ratio: Largest error in units of what rounding allows at its place.
        shader_ratio: The same with what shaders promise.
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
    sum_allowed: float = 0.0
    sum_shader: float = 0.0
    sum_oracle: float = 0.0
    sum_negligible: float = 0.0
    decided: int = 0
    same: float = 0.0
    labelled: int = 0
    right: int = 0
    reference_right: int = 0
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
    low: float = math.inf
    high: float = -math.inf
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
        """The cosine of the angle between the two; 1 where both are all zeros, 0 where one is."""
        if self.signal == 0 or self.power == 0:
            return float(self.signal == self.power)
        return self.dot / math.sqrt(self.signal) / math.sqrt(self.power)

    @property
    def reference_mean(self) -> float:
        """The mean of the reference's own errors in units of what is allowed at their places."""
        return self.sum_reference / max(self.finite, 1)

    @property
    def relative_bound(self) -> float | None:
        """What rounding allows, relative to the output's own size: of each, the root mean square.

        An output that is negligible beside the inputs, as where nearly all cancels, counts as of
        that size. None without an oracle, and of an output that is zero everywhere.
        """
        return None if self.bound_ratio is None else self._relative(self.sum_allowed)

    @property
    def relative_shader_bound(self) -> float | None:
        """The same of what shaders promise."""
        return None if self.shader_ratio is None else self._relative(self.sum_shader)

    def _relative(self, allowed: float) -> float | None:
        size = max(self.sum_oracle, self.sum_negligible)
        return math.sqrt(allowed / size) if size else None

    @property
    def same_largest(self) -> float | None:
        """The share of decided rows that have the same largest element; None without any."""
        return self.same / self.decided if self.decided else None

    @property
    def accuracy(self) -> float | None:
        """The share of labelled rows that are given their label; None without any."""
        return self.right / self.labelled if self.labelled else None

    @property
    def reference_accuracy(self) -> float | None:
        """The same of the reference."""
        return self.reference_right / self.labelled if self.labelled else None

    @property
    def share_of_range(self) -> float | None:
        """The largest difference relative to the reference's range, or to its size without one."""
        span = self.high - self.low if self.high > self.low else abs(self.high)
        return self.max_abs / span if span and math.isfinite(span) else None

    @property
    def error_ratio(self) -> float | None:
        """This error against the oracle over the reference's own. None where that one is zero."""
        if self.error is None or not self.reference_error:
            return None
        return self.error / self.reference_error


_SUMS = (
    "samples",
    "elements",
    "finite",
    "equal",
    "nonzero",
    "flushed",
    "sum_abs",
    "sum_rel",
    "sum_ratio",
    "sum_reference",
    "sum_allowed",
    "sum_shader",
    "sum_oracle",
    "sum_negligible",
    "decided",
    "same",
    "labelled",
    "right",
    "reference_right",
    "signal",
    "power",
    "dot",
    "noise",
)
_LARGEST = (
    "max_abs",
    "max_rel",
    "max_ulp",
    "row_mean_abs",
    "error",
    "reference_error",
    "bound_ratio",
    "shader_ratio",
)


def merged(metrics: Sequence[Metrics]) -> Metrics:
    """Several comparisons as one: counts and sums are added, of the others the worst is taken.

    Raises ValueError where there is none.
    """

    def largest(name: str) -> Any:
        values = [value for m in metrics if (value := getattr(m, name)) is not None]
        return max(values, default=None)

    farthest = max(metrics, key=lambda m: m.worst_by)
    return Metrics(
        **{name: sum(getattr(m, name) for m in metrics) for name in _SUMS},
        **{name: largest(name) for name in _LARGEST},
        row_sqnr=min(m.row_sqnr for m in metrics),
        row_cosine=min(m.row_cosine for m in metrics),
        low=min(m.low for m in metrics),
        high=max(m.high for m in metrics),
        misplaced=next((m.misplaced for m in metrics if m.misplaced), ""),
        worst=farthest.worst,
        worst_by=farthest.worst_by,
    )


def row_signals(energies: NDArray[np.float64], numbers: int) -> NDArray[np.float64]:
    """What the noise of each row is held against: its own energy, or one typical number's.

    A row of few numbers may come out near zero by chance, where the terms of its sums cancel. Their
    rounding does not cancel, so that no runtime has a good ratio there.

    Args:
        energies: The sum of the squares of each row of the reference in a case.
        numbers: How many numbers all of them have.
    """
    held: NDArray[np.float64] = np.maximum(energies, energies.sum() / max(numbers, 1))
    return held


def decibel(signal: float, noise: float) -> float:
    """10 log10(signal / noise); infinite without noise, and NaN where both overflowed."""
    if noise == 0 or signal == math.inf:
        return math.inf if noise != math.inf else math.nan
    return 10 * math.log10(signal / noise) if signal else -math.inf
