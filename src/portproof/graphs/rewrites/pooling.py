"""3-D pooling as two 2-D pools: LiteRT has no other, and TensorFlow's has no float64 kernel."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tensorflow.core.framework.node_def_pb2 import NodeDef as Node

from portproof.graphs.splicing import Tensor


def average_pool_3d(node: Node, inputs: Sequence[Tensor]) -> Tensor | None:
    """The mean of the elements under the window; padding does not count.

    How many elements count along depth is the same in each row and column, so that a mean of means
    is the mean.
    """
    return _in_two(node, inputs, tf.nn.avg_pool2d)


def max_pool_3d(node: Node, inputs: Sequence[Tensor]) -> Tensor | None:
    """The largest of the elements under the window."""
    return _in_two(node, inputs, tf.nn.max_pool2d)


def _in_two(node: Node, inputs: Sequence[Tensor], pool: Any) -> Tensor | None:
    """Along depth, with height and width as one axis; then over height and width."""
    if node.attr["data_format"].s == b"NCDHW":
        return None
    [x] = inputs
    (kd, kh, kw), (sd, sh, sw) = (list(node.attr[key].list.i)[1:4] for key in ("ksize", "strides"))
    padding = node.attr["padding"].s.decode()
    _, depth, height, width, channels = _sizes(x)
    flat = tf.reshape(x, [-1, depth, height * width, channels])
    flat = pool(flat, (kd, 1), (sd, 1), padding)
    depth = _sizes(flat)[1]
    frames = tf.reshape(flat, [-1, height, width, channels])
    frames = pool(frames, (kh, kw), (sh, sw), padding)
    _, height, width, _ = _sizes(frames)
    return tf.reshape(frames, [-1, depth, height, width, channels])


def _sizes(x: Tensor) -> list[Any]:
    """The sizes of all axes, as numbers where they are known."""
    dynamic = tf.shape(x)
    return [dynamic[n] if size is None else size for n, size in enumerate(x.shape)]
