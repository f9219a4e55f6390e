"""3-D pooling in slices: LiteRT has none, and TensorFlow's has no float64 kernel."""

import functools
import itertools
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tensorflow.core.framework.node_def_pb2 import NodeDef as Node

from portproof.graphs.splicing import Tensor


def average_pool_3d(node: Node, inputs: Sequence[Tensor]) -> Tensor | None:
    """The mean of the elements under the window; padding does not count."""
    if node.attr["data_format"].s == b"NCDHW":
        return None
    [x] = inputs
    total = tf.add_n(_window_elements(node, x, 0.0))
    count = tf.add_n(_window_elements(node, tf.ones_like(x), 0.0))
    return total / count


def max_pool_3d(node: Node, inputs: Sequence[Tensor]) -> Tensor | None:
    """The largest of the elements under the window."""
    if node.attr["data_format"].s == b"NCDHW":
        return None
    [x] = inputs
    return functools.reduce(tf.maximum, _window_elements(node, x, float("-inf")))


def _window_elements(node: Node, x: Tensor, padding: float) -> list[Tensor]:
    """For each element of the window, a tensor of its values at all places of the window."""
    ksize, strides = list(node.attr["ksize"].list.i)[1:4], list(node.attr["strides"].list.i)[1:4]
    if node.attr["padding"].s == b"SAME":
        totals = [
            tf.maximum((-(-size // stride) - 1) * stride + length - size, 0)
            for size, stride, length in zip(_spatial_sizes(x), strides, ksize, strict=True)
        ]
        around = [[total // 2, total - total // 2] for total in totals]
        x = tf.pad(x, [[0, 0], *around, [0, 0]], constant_values=tf.cast(padding, x.dtype))
    places = [
        (size - length) // stride
        for size, stride, length in zip(_spatial_sizes(x), strides, ksize, strict=True)
    ]
    elements = []
    for start in itertools.product(*map(range, ksize)):
        along = zip(start, places, strides, strict=True)
        d, h, w = (slice(a, a + n * stride + 1, stride) for (a, n, stride) in along)
        elements.append(x[:, d, h, w, :])
    return elements


def _spatial_sizes(x: Tensor) -> list[Any]:
    """The sizes of the three spatial axes, as numbers where they are known."""
    dynamic = tf.shape(x)
    return [dynamic[n] if x.shape[n] is None else x.shape[n] for n in (1, 2, 3)]
