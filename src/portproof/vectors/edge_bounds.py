"""How far an edge case's output may be from the oracle, at the cost of no further evaluation.

Such a case decides nothing and is only reported, so it is not worth the evaluations that a derived
bound takes. The reference is one correct evaluation, and its largest error in a row shows what
rounding does there.
"""

from typing import Any

import numpy as np

from portproof.bundle.float_format import as_stored, spacing

Array = np.ndarray[Any, Any]

# The largest of 16 samples with four times the rounding, as `oracle/rounding.py` takes them, is on
# average 4 * 1.8 standard deviations; the reference is one sample, which may be less than half one.
EDGE_FACTOR = 16.0


def edge_bound(reference: Array, exact: Array, *, by_row: bool) -> Array:
    """How far each element may be from the oracle, as it is stored.

    Args:
        reference: What the original gives, in its dtype.
        exact: What the oracle gives, in float64.
        by_row: Whether the first dimension counts rows.

    Returns:
        `EDGE_FACTOR` times the reference's largest error in the row, which counts as at least one
        unit in the last place of the row's largest value.
    """
    rows = len(exact) if by_row and exact.ndim else 1
    if not exact.size:
        return as_stored(np.zeros(exact.shape), reference.dtype)
    given, right = (a.astype(np.float64).reshape(rows, -1) for a in (reference, exact))
    with np.errstate(invalid="ignore"):
        error = np.abs(given - right)
    largest = _largest_finite(right)
    with np.errstate(over="ignore"):  # a bound that is infinite allows everything
        bound = EDGE_FACTOR * np.maximum(_largest_finite(error), spacing(largest, reference.dtype))
    return as_stored(np.broadcast_to(bound, given.shape).reshape(exact.shape), reference.dtype)


def scaled(bound: Array, correct: Array, shader: Array) -> Array:
    """A shader's bound, in the proportion that it has to any other's on the model's own data."""
    factor = max(shader.max(initial=0.0) / (correct.max(initial=0.0) or 1.0), 1.0)
    return as_stored(bound.astype(np.float64) * factor, bound.dtype)


def _largest_finite(rows: Array) -> Array:
    """Of each row, as a column; 0 where it has none."""
    sizes = np.where(np.isfinite(rows), np.abs(rows), 0.0)
    return np.asarray(sizes.max(axis=1, keepdims=True, initial=0.0))
