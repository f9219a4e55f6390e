"""What TF.js's WebGPU backend gets wrong of booleans, by way of floats."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from oracle.splicing import Tensor


def transpose(_: Any, inputs: Sequence[Tensor]) -> Tensor | None:
    """A transposed mask, as of a recurrent layer that leaves steps out.

    Of three axes and more, WebGPU's kernel reads integers and booleans as floats, and what is small
    comes out as zero (tfjs-backend-webgpu/src/transpose_webgpu.ts).
    """
    x, order = inputs
    if x.dtype != tf.bool or x.shape.rank == 2:
        return None
    # Not by casts, past which TensorFlow's optimizer moves a transposition of its own accord.
    return tf.transpose(tf.where(x, 1.0, 0.0), order) > 0.5
