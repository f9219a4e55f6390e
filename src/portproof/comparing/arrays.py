"""Two arrays that should be the same numbers -> metrics. Decides nothing."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from portproof.bundle.float_format import Array, is_float, smallest_normal, spacing, ulp_distance
from portproof.comparing.metrics import Metrics, Worst, decibel, row_signals

# Elements of a chunk: the float64 arrays made of one stay in a core's second-level cache.
CHUNK = 1 << 14


@dataclass(frozen=True)
class Expected:
    """The values that an output is compared with, all of one shape.

    Attributes:
        reference: What the original gave, in the output's dtype.
        oracle: Of floats, what the same graph gives in float64.
        rounding: How far from the oracle a correct implementation may be (`oracle/rounding.py`).
        shader: How far a shader may be; None where it may be no farther.
        variant: What a variant that changes numbers gives where its arithmetic is done as
            specified.
    """

    reference: Array
    oracle: Array | None = None
    rounding: Array | None = None
    shader: Array | None = None
    variant: Array | None = None

    def rows(self, rows: Any) -> "Expected":
        """The expected values of some rows."""
        return Expected(*(None if a is None else a[rows] for a in vars(self).values()))  # type: ignore[arg-type]


def compare(got: Array, expected: Expected) -> Metrics:
    """Compare an output with what is expected, in one pass over chunks that fit the cache.

    Raises ValueError where shapes or dtypes differ: that is the caller's to judge.
    """
    reference = expected.reference
    if got.shape != reference.shape or got.dtype != reference.dtype:
        raise ValueError(f"cannot compare {describe(got)} with {describe(reference)}")
    for field in fields(expected):
        array = getattr(expected, field.name)
        if array is not None and array.shape != reference.shape:
            raise ValueError(f"the {field.name} is {describe(array)}, not {list(reference.shape)}")
    for bound in (expected.rounding, expected.shader):
        if bound is not None and not (np.isfinite(bound) & (bound >= 0)).all():
            raise ValueError("a bound is no number, infinite or negative")
    if not reference.size:  # rows without elements prove nothing, and are no samples
        return Metrics()
    comparison = _Comparison(got, expected)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for rows, columns in comparison.blocks():
            comparison.add(rows, columns)
        return comparison.metrics()


def describe(array: Array) -> str:
    """`float32[7, 1]`."""
    return f"{array.dtype}{list(array.shape)}"


class _Comparison:
    """One pass over an output and its expected values, as matrices of rows and their elements."""

    def __init__(self, got: Array, expected: Expected) -> None:
        self._shape = got.shape
        rows = len(got) if got.ndim else 1
        self._got = got.reshape(rows, -1)
        self._expected = Expected(
            *(None if a is None else a.reshape(rows, -1) for a in vars(expected).values())  # type: ignore[arg-type]
        )
        self._is_float = is_float(got.dtype)
        self._smallest_normal = smallest_normal(got.dtype) if self._is_float else 0.0
        # Sums of each row: |difference|, signal, power, dot, noise; and its finite elements.
        self._sums = np.zeros((6, rows))
        self._counts = dict.fromkeys(("equal", "nonzero", "flushed"), 0)
        self._largest: dict[str, float] = {}
        self._sum_rel, self._max_ulp = 0.0, 0
        self._sum_ratio, self._sum_reference = 0.0, 0.0
        self._squares = dict.fromkeys(("rounding", "shader", "oracle"), 0.0)
        self._low, self._high = math.inf, -math.inf
        self._worst: Worst | None = None
        self._worst_by, self._misplaced = -1.0, ""

    def blocks(self) -> Iterator[tuple[slice, slice]]:
        """As many rows as make a chunk, or a part of a row that is larger than one."""
        rows, width = self._got.shape
        high, wide = max(1, CHUNK // width), min(width, CHUNK)
        for top in range(0, rows, high):
            for left in range(0, width, wide):
                yield slice(top, top + high), slice(left, left + wide)

    def add(self, rows: slice, columns: slice) -> None:
        """Add the metrics of one block of rows and columns."""
        # As they are, for what depends on the bits; and in float64, for arithmetic.
        raw, raw_reference = self._got[rows, columns], self._expected.reference[rows, columns]
        got, reference = raw.astype(np.float64), raw_reference.astype(np.float64)
        finite = np.isfinite(got) & np.isfinite(reference)
        bits = np.dtype(f"u{raw.dtype.itemsize}")
        same = raw.view(bits) == raw_reference.view(bits)
        self._counts["equal"] += int(np.count_nonzero(same))
        if not finite.all():
            self._note_misplaced(rows, columns, got, reference)
            got, reference = np.where(finite, got, 0.0), np.where(finite, reference, 0.0)
            # NaN and infinity have no distance from anything: here it counts as zero.
            raw, raw_reference = (
                np.where(finite, a, a.dtype.type(0)) for a in (raw, raw_reference)
            )
        if same.all():
            difference = np.zeros_like(got)
        else:
            difference = np.abs(got - reference)
            self._note_distance(raw, raw_reference, difference, reference)
        self._add_rows(rows, got, reference, difference, finite)
        # By which the worst element is chosen: the error relative to what is allowed, if known.
        severity = difference
        if self._expected.oracle is not None:
            severity = self._note_errors(rows, columns, got, reference, finite)
        self._note_worst(rows, columns, severity, got, reference)

    def _note_distance(
        self, raw: Array, raw_reference: Array, difference: Array, reference: Array
    ) -> None:
        if self._is_float:
            ulps = ulp_distance(raw, raw_reference)
            largest = float(difference.max())
        else:
            ulps = _integer_distance(raw, raw_reference)
            largest = float(ulps.max())
        self._max_ulp = max(self._max_ulp, int(ulps.max()))
        self._keep_largest("max_abs", largest)
        relative = np.divide(
            difference, np.abs(reference), out=np.zeros_like(difference), where=reference != 0
        )
        self._keep_largest("max_rel", float(relative.max()))
        self._sum_rel += float(relative.sum())

    def _add_rows(
        self, rows: slice, got: Array, reference: Array, difference: Array, finite: Array
    ) -> None:
        if finite.any():
            self._low = min(self._low, float(reference.min(where=finite, initial=math.inf)))
            self._high = max(self._high, float(reference.max(where=finite, initial=-math.inf)))
        sums = self._sums[:, rows]
        sums[0] += difference.sum(axis=1)
        sums[1] += np.einsum("ij,ij->i", reference, reference)
        sums[2] += np.einsum("ij,ij->i", got, got)
        sums[3] += np.einsum("ij,ij->i", got, reference)
        sums[4] += np.einsum("ij,ij->i", difference, difference)
        sums[5] += np.count_nonzero(finite, axis=1)
        self._counts["nonzero"] += int(np.count_nonzero(reference))

    def _note_errors(
        self, rows: slice, columns: slice, got: Array, reference: Array, finite: Array
    ) -> Array:
        """Add the errors against the oracle; returns each in units of what is allowed there.

        Where only the oracle is not finite, nothing tells how far off is too far: there the value
        must be the reference's.
        """
        assert self._expected.oracle is not None
        oracle = self._expected.oracle[rows, columns]
        judged = np.isfinite(oracle) & finite
        if not judged.all():
            differs = finite & ~judged & (got != reference)
            self._note_first(rows, columns, differs, got, reference)
            oracle = np.where(judged, oracle, 0.0)
            got, reference = np.where(judged, got, 0.0), np.where(judged, reference, 0.0)
        error, reference_error = np.abs(got - oracle), np.abs(reference - oracle)
        self._keep_largest("error", float(error.max()))
        self._keep_largest("reference_error", float(reference_error.max()))
        denormal = (reference != 0) & (np.abs(reference) < self._smallest_normal)
        flushed = (got == 0) & denormal
        self._counts["flushed"] += int(np.count_nonzero(flushed))
        error[flushed] = 0.0
        unit = spacing(oracle, self._got.dtype)
        self._squares["oracle"] += float(np.einsum("ij,ij->", oracle, oracle))
        ratio: Array = error / (reference_error + unit)
        for name in ("rounding", "shader"):
            array = getattr(self._expected, name)
            if array is not None:
                allowed = reference_error + np.maximum(array[rows, columns], unit)
                share = error / allowed
                self._keep_largest(f"{name}_ratio", float(share.max()))
                self._squares[name] += float(np.einsum("ij,ij->", allowed, allowed))
                if name == "rounding":
                    ratio = share
                    self._sum_ratio += float(share.sum())
                    self._sum_reference += float((reference_error / allowed).sum())
        return ratio

    def _note_misplaced(self, rows: slice, columns: slice, got: Array, reference: Array) -> None:
        """Keep the first element that is NaN or infinite in another way than the reference's."""
        same = np.where(np.isnan(reference), np.isnan(got), got == reference)
        wrong = ~(same | (np.isfinite(got) & np.isfinite(reference)))
        self._note_first(rows, columns, wrong, got, reference)

    def _note_first(
        self, rows: slice, columns: slice, wrong: Array, got: Array, reference: Array
    ) -> None:
        """Keep the first element of a mask, in words, unless there is one already."""
        if self._misplaced or not wrong.any():
            return
        row, column = (int(i) for i in np.argwhere(wrong)[0])
        index = self._index(rows.start + row, columns.start + column)
        place = f" at {list(index)}" if index else ""
        self._misplaced = (
            f"{got[row, column]} where the reference has {reference[row, column]}{place}"
        )

    def _note_worst(
        self, rows: slice, columns: slice, severity: Array, got: Array, reference: Array
    ) -> None:
        row, column = divmod(int(severity.argmax()), severity.shape[1])
        if severity[row, column] > self._worst_by:
            self._worst_by = float(severity[row, column])
            index = self._index(rows.start + row, columns.start + column)
            self._worst = Worst(index, float(got[row, column]), float(reference[row, column]))

    def _index(self, row: int, column: int) -> tuple[int, ...]:
        """The position in the output of an element of the matrix."""
        flat = row * self._got.shape[1] + column
        return tuple(int(i) for i in np.unravel_index(flat, self._shape))

    def _keep_largest(self, name: str, value: float) -> None:
        self._largest[name] = max(self._largest.get(name, 0.0), value)

    def metrics(self) -> Metrics:
        """The result."""
        total, signal, power, dot, noise, finite = self._sums
        largest = dict(self._largest)
        noisy = noise > 0
        held = row_signals(signal, int(finite.sum()))
        quietest = float(np.fmin.reduce(held[noisy] / noise[noisy])) if noisy.any() else math.inf
        lengths = np.sqrt(signal) * np.sqrt(power)
        cosines = np.divide(
            dot, lengths, out=(signal == power).astype(np.float64), where=lengths > 0
        )
        return Metrics(
            samples=len(signal),
            elements=self._got.size,
            finite=int(finite.sum()),
            **self._counts,
            sum_abs=float(total.sum()),
            sum_rel=self._sum_rel,
            sum_ratio=self._sum_ratio,
            sum_reference=self._sum_reference,
            sum_allowed=self._squares["rounding"],
            sum_shader=self._squares["shader"],
            sum_oracle=self._squares["oracle"],
            signal=float(signal.sum()),
            power=float(power.sum()),
            dot=float(dot.sum()),
            noise=float(noise.sum()),
            max_ulp=self._max_ulp,
            row_mean_abs=float((total / np.maximum(finite, 1)).max()),
            row_sqnr=decibel(quietest, 1.0),
            row_cosine=float(cosines.min()),
            low=self._low,
            high=self._high,
            misplaced=self._misplaced,
            worst=self._worst,
            worst_by=self._worst_by,
            bound_ratio=largest.pop("rounding_ratio", None),
            **largest,  # type: ignore[arg-type]
        )


def _integer_distance(got: Array, reference: Array) -> Array:
    """|got - reference| as uint64, which can hold it for any two 64-bit integers."""
    if got.dtype == np.bool_:
        return np.not_equal(got, reference).astype(np.uint64)
    high, low = np.maximum(got, reference), np.minimum(got, reference)
    distance: Array = high.astype(np.uint64) - low.astype(np.uint64)  # modulo 2^64, as it must be
    return distance
