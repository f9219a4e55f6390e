"""MatrixBandPart, of which causal masks are made, by comparing rows with columns."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from oracle.splicing import Tensor


def band_part(_: Any, inputs: Sequence[Tensor]) -> Tensor:
    """What lies between `lower` diagonals below and `upper` above; a negative number is all."""
    x, lower, upper = inputs
    rows, columns = (
        tf.shape(x)[axis] if x.shape.rank is None or x.shape[axis] is None else x.shape[axis]
        for axis in (-2, -1)
    )
    below = tf.range(rows)[:, None] - tf.range(columns)[None, :]
    lower, upper = tf.cast(lower, tf.int32), tf.cast(upper, tf.int32)
    kept = tf.logical_and(
        tf.logical_or(lower < 0, below <= lower), tf.logical_or(upper < 0, -below <= upper)
    )
    return tf.logical_and(x, kept) if x.dtype == tf.bool else tf.where(kept, x, tf.zeros_like(x))
