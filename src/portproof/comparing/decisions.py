"""Whether a variant decides as the model does: the same largest element in a row of scores."""

import numpy as np

from portproof.bundle.float_format import Array, is_float

# Names by which people call scores before a softmax; what a softmax made is known by its values.
SCORE_NAMES = frozenset({"logits", "scores"})
_SUM_TOLERANCE = 1e-3  # of a distribution in float16


def has_scores(name: str, reference: Array) -> bool:
    """Whether the last axis of an output has a score for each of at least two classes.

    Args:
        name: The output's name.
        reference: Its values, of any shape.
    """
    if not is_float(reference.dtype) or reference.ndim < 1 or reference.shape[-1] < 2:
        return False
    return name in SCORE_NAMES or is_distribution(reference)


def is_distribution(values: Array) -> bool:
    """Whether the last axis of each row is a probability for each of its classes."""
    values = values.astype(np.float64)
    if values.ndim < 1 or values.shape[-1] < 2 or not values.size:
        return False
    if not np.isfinite(values).all() or values.min() < 0:
        return False
    return bool(np.allclose(values.sum(axis=-1), 1, rtol=0, atol=_SUM_TOLERANCE))


def count_decisions(got: Array, reference: Array, noise: float) -> tuple[int, float]:
    """How many rows are decided, and in how many of them the largest element is the same.

    A row is decided where its largest element leads the second by more than `noise` times the
    row's root mean square: where two classes are level, any noise decides, and nobody is wrong.
    Where several elements of `got` are the largest, which quantised ones often are, a row counts
    as a part of one: the chance of picking the right one.

    Args:
        got: The scores, finite or not, [..., classes].
        reference: The model's scores, of the same shape.
        noise: The noise that a variant may have, relative to its signal.
    """
    got, reference = (a.astype(np.float64).reshape(-1, a.shape[-1]) for a in (got, reference))
    second, largest = np.sort(reference, axis=-1)[:, -2:].T
    size = np.sqrt(np.mean(reference**2, axis=-1))
    decided = largest - second > noise * size
    ties = got == got.max(axis=-1, keepdims=True, initial=-np.inf)
    right = ties[np.arange(len(got)), reference.argmax(axis=-1)]
    shares = right / np.maximum(ties.sum(axis=-1), 1)
    return int(decided.sum()), float(shares[decided].sum())


def count_right(scores: Array, labels: Array) -> int:
    """How many rows are given their label.

    Args:
        scores: [rows, classes], of which the largest is chosen; [rows] or [rows, 1] of floats,
            which say yes above 0.5; or [rows] of integers, which are the classes.
        labels: The right class of each row.
    """
    flat = scores.reshape(len(scores), -1)
    if flat.shape[1] > 1:
        chosen = flat.astype(np.float64).argmax(axis=1)
    elif is_float(scores.dtype):
        chosen = flat[:, 0].astype(np.float64) > 0.5
    else:
        chosen = flat[:, 0]
    return int(np.count_nonzero(chosen == labels))
