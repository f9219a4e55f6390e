"""What TensorFlow Lite Micro does not have, in what it has."""

from collections.abc import Sequence

import tensorflow as tf
from tensorflow.core.framework.node_def_pb2 import NodeDef as Node

from oracle.splicing import Tensor


def select(_node: Node, inputs: Sequence[Tensor]) -> Tensor | None:
    """`SelectV2` of integers, by products that are exact: `c * a + (not c) * b`.

    Keras' `Embedding` counts a negative index from the end with it.
    """
    condition, chosen, other = inputs
    if not chosen.dtype.is_integer:
        return None  # a product with NaN or an infinity is not a choice
    taken = tf.cast(condition, chosen.dtype)
    left = tf.cast(tf.logical_not(condition), chosen.dtype)
    return taken * chosen + left * other


def tile(_node: Node, inputs: Sequence[Tensor]) -> Tensor | None:
    """`Tile` with known multiples, by concatenation."""
    tensor, multiples = inputs
    times = tf.get_static_value(multiples)
    if times is None or 0 in times or max(times, default=1) > _MOST:
        return None
    for axis, count in enumerate(times):
        tensor = tf.concat([tensor] * int(count), axis) if count > 1 else tensor
    return tensor


# Inputs of one concatenation, beyond which a graph grows longer than it is worth.
_MOST = 128
