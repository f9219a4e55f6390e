"""Convolutions in groups: TF.js has none but the one of a group for each channel."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tensorflow.core.framework.node_def_pb2 import NodeDef as Node

from portproof.graphs.splicing import Tensor


def grouped_convolution(node: Node, inputs: Sequence[Tensor]) -> Tensor | None:
    """A `Conv2D` whose filters have fewer channels than its input, as that many convolutions.

    Each group of the input's channels has as many of the filters, in their order
    (tensorflow/core/kernels/conv_ops.cc).
    """
    x, filters = inputs
    channels, of_group = x.shape[-1], filters.shape[2]
    if node.attr["data_format"].s == b"NCHW" or not channels or channels == of_group:
        return None
    groups = channels // of_group
    options = _options(node)
    (_, height, width, _), per_group = options["strides"], filters.shape[3] // groups
    if of_group == 1 and height == width and not isinstance(options["padding"], list):
        rows, columns = filters.shape[:2]
        alone = tf.reshape(filters, [rows, columns, channels, per_group])
        options["dilations"] = options["dilations"][1:3]
        return tf.nn.depthwise_conv2d(x, alone, **options)
    parts = zip(tf.split(x, groups, -1), tf.split(filters, groups, -1), strict=True)
    return tf.concat([tf.nn.conv2d(part, own, **options) for part, own in parts], -1)


def _options(node: Node) -> dict[str, Any]:
    padding: Any = node.attr["padding"].s.decode()
    if padding == "EXPLICIT":
        ends = list(node.attr["explicit_paddings"].list.i)
        padding = [ends[n : n + 2] for n in range(0, len(ends), 2)]
    return {
        "strides": list(node.attr["strides"].list.i),
        "padding": padding,
        "dilations": list(node.attr["dilations"].list.i) or [1, 1, 1, 1],
    }
