"""Operations that TensorFlow computes in float32 alone, written in ones that float64 has too."""

import functools
import itertools
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tensorflow.core.framework.node_def_pb2 import NodeDef as Node

from oracle.splicing import Rewrite, Tensor


def _fused_batch_norm(node: Node, inputs: Sequence[Tensor]) -> Tensor | list[Tensor] | None:
    """Inference: (x - mean) / sqrt(variance + epsilon) * scale + offset, channels last."""
    if node.attr["is_training"].b or node.attr["data_format"].s == b"NCHW":
        return None
    x, scale, offset, mean, variance = inputs
    factor = scale * tf.math.rsqrt(variance + node.attr["epsilon"].f)
    rest = [mean, variance, mean, variance]
    return [(x - mean) * factor + offset, *rest[: 5 if node.op.endswith("V3") else 4]]


def _sources(node: Node, before: Tensor, after: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For each place of a resized axis, its two neighbours and how far it is towards the second.

    tensorflow/core/kernels/image/resize_bilinear_op.cc and image_resizer_state.h.
    """
    old, new = tf.cast(before, tf.float32), tf.cast(after, tf.float32)
    places = tf.cast(tf.range(after), tf.float32)
    if node.attr["align_corners"].b:
        scale = tf.where(new > 1, (old - 1) / tf.maximum(new - 1, 1), old / new)
    else:
        scale = old / new
    half = 0.5 if node.attr["half_pixel_centers"].b else 0.0
    at = (places + half) * scale - half
    first = tf.maximum(tf.floor(at), 0)
    second = tf.minimum(tf.math.ceil(at), old - 1)
    return tf.cast(first, tf.int32), tf.cast(second, tf.int32), at - tf.floor(at)


def _resize_bilinear(node: Node, inputs: Sequence[Tensor]) -> Tensor:
    images, size = inputs
    made = tf.cast(images, tf.float32)
    for axis in (1, 2):
        first, second, towards = _sources(node, tf.shape(images)[axis], size[axis - 1])
        towards = tf.reshape(towards, [-1, 1, 1] if axis == 1 else [-1, 1])
        low, high = tf.gather(made, first, axis=axis), tf.gather(made, second, axis=axis)
        made = low + (high - low) * towards
    return made


def _under_window(node: Node, x: Tensor, padding: float) -> list[Tensor]:
    """For each element of a 3-D pooling's window, what lies under it at all the window's places."""
    ksize, strides = list(node.attr["ksize"].list.i)[1:4], list(node.attr["strides"].list.i)[1:4]
    if node.attr["padding"].s == b"SAME":
        spatial = _spatial(x)
        totals = [
            tf.maximum((-(-size // stride) - 1) * stride + length - size, 0)
            for size, stride, length in zip(spatial, strides, ksize, strict=True)
        ]
        around = [[total // 2, total - total // 2] for total in totals]
        x = tf.pad(x, [[0, 0], *around, [0, 0]], constant_values=tf.cast(padding, x.dtype))
    places = [
        (size - length) // stride
        for size, stride, length in zip(_spatial(x), strides, ksize, strict=True)
    ]
    found = []
    for start in itertools.product(*map(range, ksize)):
        along = zip(start, places, strides, strict=True)
        d, h, w = (slice(a, a + n * stride + 1, stride) for (a, n, stride) in along)
        found.append(x[:, d, h, w, :])
    return found


def _spatial(x: Tensor) -> list[Any]:
    """The three sizes, as numbers where they are known."""
    dynamic = tf.shape(x)
    return [dynamic[n] if x.shape[n] is None else x.shape[n] for n in (1, 2, 3)]


def average_pool_3d(node: Node, inputs: Sequence[Tensor]) -> Tensor | None:
    """The mean of what lies under the window, padding not counted."""
    if node.attr["data_format"].s == b"NCDHW":
        return None
    [x] = inputs
    total = tf.add_n(_under_window(node, x, 0.0))
    count = tf.add_n(_under_window(node, tf.ones_like(x), 0.0))
    return total / count


def max_pool_3d(node: Node, inputs: Sequence[Tensor]) -> Tensor | None:
    """The largest of what lies under the window."""
    if node.attr["data_format"].s == b"NCDHW":
        return None
    [x] = inputs
    return functools.reduce(tf.maximum, _under_window(node, x, float("-inf")))


def _local_response(node: Node, inputs: Sequence[Tensor]) -> Tensor:
    """x / (bias + alpha * sum of x^2 over neighbouring channels)^beta."""
    [x] = inputs
    radius, attr = node.attr["depth_radius"].i, node.attr
    squares = tf.pad(tf.square(x), [[0, 0], [0, 0], [0, 0], [radius, radius]])
    depth = tf.shape(x)[3]
    index = tf.range(depth)[:, None] + tf.range(2 * radius + 1)[None, :]
    total = tf.reduce_sum(tf.gather(squares, index, axis=3), axis=4)
    return x * tf.pow(attr["bias"].f + attr["alpha"].f * total, -attr["beta"].f)


LOWERED: dict[str, Rewrite] = {
    **dict.fromkeys(("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"), _fused_batch_norm),
    "ResizeBilinear": _resize_bilinear,
    "AvgPool3D": average_pool_3d,
    "MaxPool3D": max_pool_3d,
    "LRN": _local_response,
}
