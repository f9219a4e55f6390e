"""Small rewrites of a line or a few, for TF.js."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from portproof.graphs.splicing import Tensor


def softsign(_: Any, inputs: Sequence[Tensor]) -> Tensor:
    """x / (1 + |x|), as TensorFlow has it (tensorflow/core/kernels/softsign_op.h).

    TF.js has it, and TF.js's converter does not.
    """
    [x] = inputs
    return x / (1 + tf.abs(x))


def transpose(_: Any, inputs: Sequence[Tensor]) -> Tensor | None:
    """A transposed mask, as of a recurrent layer that skips steps, by way of floats.

    For three axes and more, WebGPU's kernel reads integers and booleans as floats, and small values
    come out as zero (tfjs-backend-webgpu/src/transpose_webgpu.ts).
    """
    x, order = inputs
    if x.dtype != tf.bool or x.shape.rank == 2:
        return None
    # Not by casts: TensorFlow's optimizer moves a transposition past them.
    return tf.transpose(tf.where(x, 1.0, 0.0), order) > 0.5


def one_hot(node: Any, inputs: Sequence[Tensor]) -> Tensor | None:
    """`OneHot` of floats along the last axis: the one value where the index is the class.

    TF.js's WASM kernel writes integers into the result, whatever its dtype
    (tfjs-backend-wasm/src/kernels/OneHot.ts).
    """
    indices, depth, on, off = inputs
    if not on.dtype.is_floating or node.attr["axis"].i != -1:
        return None
    chosen = tf.equal(tf.cast(indices, tf.int32)[..., None], tf.range(depth))
    return tf.where(chosen, on, off)


def cumulated(node: Any, inputs: Sequence[Tensor]) -> Tensor | None:
    """`Cumsum` and `Cumprod` along an axis that is counted from the end, counted from the start.

    TF.js takes -1 for an axis before the first (tfjs-core/src/ops/axis_util.ts,
    `getAxesPermutation`).
    """
    x, axis = inputs
    known = tf.get_static_value(axis)
    if known is None or known >= 0 or x.shape.rank is None:
        return None
    compute = tf.math.cumsum if node.op == "Cumsum" else tf.math.cumprod
    attrs = {name: node.attr[name].b for name in ("exclusive", "reverse")}
    return compute(x, axis=int(known) + x.shape.rank, **attrs)


def bias_add(node: Any, inputs: Sequence[Tensor]) -> Tensor | None:
    """`BiasAdd` to the second axis, which TF.js adds to the last one."""
    if node.attr["data_format"].s != b"NCHW":
        return None
    x, bias = inputs
    if x.shape.rank is None:
        return None
    return x + tf.reshape(bias, [-1, *[1] * (x.shape.rank - 2)])


def band_part(_: Any, inputs: Sequence[Tensor]) -> Tensor:
    """`MatrixBandPart`, of which causal masks are made, by comparing rows with columns.

    Kept are `lower` diagonals below the main one and `upper` above; a negative number keeps all.
    """
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
