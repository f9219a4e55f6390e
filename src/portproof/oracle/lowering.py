"""Operations that TensorFlow computes in float32 only, written in ones that float64 has too."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tensorflow.core.framework.node_def_pb2 import NodeDef as Node
from tensorflow.python.framework import op_def_registry

from portproof.graphs.rewrites.pooling import average_pool_3d, max_pool_3d
from portproof.graphs.splicing import Rewrite, Tensor


def _fused_batch_norm(node: Node, inputs: Sequence[Tensor]) -> Tensor | list[Tensor] | None:
    """Inference: (x - mean) / sqrt(variance + epsilon) * scale + offset, channels last."""
    if node.attr["is_training"].b or node.attr["data_format"].s == b"NCHW":
        return None
    x, scale, offset, mean, variance = inputs
    factor = scale * tf.math.rsqrt(variance + node.attr["epsilon"].f)
    statistics = [mean, variance, mean, variance]
    count = 5 if node.op.endswith("V3") else 4
    return [(x - mean) * factor + offset, *statistics[:count]]


def _resize_bilinear(node: Node, inputs: Sequence[Tensor]) -> Tensor:
    images, size = inputs
    resized = tf.cast(images, tf.float32)
    for axis in (1, 2):
        first, second, weight = _neighbours(node, tf.shape(images)[axis], size[axis - 1])
        weight = tf.reshape(weight, [-1, 1, 1] if axis == 1 else [-1, 1])
        low, high = tf.gather(resized, first, axis=axis), tf.gather(resized, second, axis=axis)
        # There are several formulas (low + (high - low) * weight, sums of products of either axis
        # first), which round where another one does not. `AddN` always counts as rounded.
        resized = tf.add_n([low * (1 - weight), high * weight])
    return resized


def _with_rounded_pixels(node: Node, inputs: Sequence[Tensor]) -> Tensor | None:
    """The op as it is, whose pixels are rounded before, for it rounds positions and coefficients.

    Those are inside it, where nothing can be disturbed. A quotient counts as rounded by some units
    (`op_table`), which move the result as a shift of the position does.
    """
    images, *others = inputs
    if not images.dtype.is_floating:
        return None
    arguments = {name: _attribute(value) for name, value in node.attr.items() if name[0] != "_"}
    arguments = {name: value for name, value in arguments.items() if name not in ("T", "dtype")}
    names = [arg.name for arg in op_def_registry.get(node.op).input_arg]
    given = dict(zip(names, [images / 1, *others], strict=True))
    return getattr(tf.raw_ops, node.op)(**given, **arguments)


def _attribute(value: Any) -> Any:
    kind = value.WhichOneof("value")
    plain = getattr(value, kind)
    return plain.decode() if kind == "s" else plain


def _neighbours(node: Node, before: Tensor, after: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For each place of a resized axis, its two neighbours and the weight of the second.

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
    **dict.fromkeys(
        ("ResizeBicubic", "ResizeArea", "ScaleAndTranslate", "CropAndResize"), _with_rounded_pixels
    ),
    "ImageProjectiveTransformV3": _with_rounded_pixels,
    "AvgPool3D": average_pool_3d,
    "MaxPool3D": max_pool_3d,
    "LRN": _local_response,
}
