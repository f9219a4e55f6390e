"""Softsign, which TensorFlow.js has and its converter does not."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from oracle.splicing import Tensor


def softsign(_: Any, inputs: Sequence[Tensor]) -> Tensor:
    """As TensorFlow has it (tensorflow/core/kernels/softsign_op.h)."""
    [x] = inputs
    return x / (1 + tf.abs(x))
