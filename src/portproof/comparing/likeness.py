"""What a wrong output looks like: said beside the verdict, which it does not change."""

from collections.abc import Mapping

import numpy as np

from portproof.bundle.float_format import Array, is_float
from portproof.comparing.decisions import is_distribution

# How near two arrays are that are said to be the same, as a share of the largest element. It
# decides nothing, and another model's outputs are farther.
_NEAR = 1e-3


def likeness(got: Array, reference: Array, others: Mapping[str, Array]) -> str:
    """What a wrong output is instead of the reference, where it is something known, or nothing.

    Args:
        got: The output.
        reference: What it should be, of the same shape.
        others: The references of the other outputs, by name.
    """
    if not is_float(reference.dtype) or not got.size or not np.isfinite(got).all():
        return ""
    values = got.astype(np.float64)
    for name, other in others.items():
        if is_float(other.dtype) and other.shape == got.shape and _is_near(values, other):
            return f"it is {name}: two outputs have each other's names"
    if is_distribution(reference) and _is_near(_softmax(values), reference):
        return "its softmax is the reference: the last softmax was left out"
    inside = reference.min() >= 0 and reference.max() <= 1
    if inside and _is_near(1 / (1 + np.exp(np.clip(-values, None, 700))), reference):
        return "its sigmoid is the reference: the last sigmoid was left out"
    return ""


def _softmax(values: Array) -> Array:
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    shares: Array = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def _is_near(values: Array, reference: Array) -> bool:
    expected = reference.astype(np.float64)
    size = np.abs(expected).max()
    return bool(np.isfinite(size) and size and np.abs(values - expected).max() <= _NEAR * size)
