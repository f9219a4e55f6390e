"""What TensorFlow Lite Micro does not have, in operations that it has."""

from collections.abc import Sequence

import tensorflow as tf
from tensorflow.core.framework.node_def_pb2 import NodeDef as Node

from portproof.graphs.splicing import Tensor

# Inputs of one concatenation, beyond which the graph grows longer than it is worth.
_MAX_COPIES = 128


def select(_node: Node, inputs: Sequence[Tensor]) -> Tensor | None:
    """`SelectV2` of integers, by products that are exact: `c * a + (not c) * b`.

    Keras's `Embedding` counts a negative index from the end with it.
    """
    condition, chosen, other = inputs
    if not chosen.dtype.is_integer:
        return None  # a product with NaN or an infinity is not a choice
    if_true = tf.cast(condition, chosen.dtype)
    if_false = tf.cast(tf.logical_not(condition), chosen.dtype)
    return if_true * chosen + if_false * other


def tile(_node: Node, inputs: Sequence[Tensor]) -> Tensor | None:
    """`Tile` with known multiples, by concatenation."""
    tensor, multiples = inputs
    copies = tf.get_static_value(multiples)
    if copies is None or 0 in copies or max(copies, default=1) > _MAX_COPIES:
        return None
    for axis, count in enumerate(copies):
        tensor = tf.concat([tensor] * int(count), axis) if count > 1 else tensor
    return tensor
