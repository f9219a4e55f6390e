"""How many terms an operation adds up for one element of its result."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from portproof.oracle.rules import Tensor

# An operation's inputs and its node's attributes -> the number of terms.
TermCount = Callable[[list[Tensor], Any], Tensor]


def along_axis(transposed: str, plain: int, turned: int) -> TermCount:
    """The first input's size along axis `plain`, or `turned` where `transposed` is set."""

    def terms(inputs: list[Tensor], attr: Any) -> Tensor:
        return tf.shape(inputs[0])[turned if attr[transposed].b else plain]

    return terms


def of_filter(position: int, channel: int) -> TermCount:
    """The number of a filter's weights in one output, whose channels are its axis `channel`."""

    def terms(inputs: list[Tensor], _: Any) -> Tensor:
        shape = tf.shape(inputs[position])
        return tf.reduce_prod(shape) // tf.maximum(shape[channel], 1)

    return terms


def of_depthwise_filter(inputs: list[Tensor], _: Any) -> Tensor:
    return tf.reduce_prod(tf.shape(inputs[1])[:2])


def reduced(inputs: list[Tensor], _: Any) -> Tensor:
    axes = tf.reshape(inputs[1], [-1])
    rank = tf.rank(inputs[0])
    axes = tf.math.floormod(tf.cast(axes, tf.int32), tf.maximum(rank, 1))
    return tf.reduce_prod(tf.gather(tf.shape(inputs[0]), axes))


def cumulated(inputs: list[Tensor], _: Any) -> Tensor:
    return tf.shape(inputs[0])[tf.cast(inputs[1], tf.int32)]


def pooled(_: list[Tensor], attr: Any) -> Tensor:
    count = 1
    for size in attr["ksize"].list.i:
        count *= int(size)
    return tf.constant(count)


def last_axes(count: int) -> TermCount:
    """The number of elements of the first input's last axes."""
    return lambda inputs, _: tf.reduce_prod(tf.shape(inputs[0])[-count:])


def of_length(inputs: list[Tensor], _: Any) -> Tensor:
    """The product of the lengths that the second input gives."""
    return tf.reduce_prod(inputs[1])


def one(_: list[Tensor], __: Any) -> Tensor:
    return tf.constant(1)


def all_elements(inputs: list[Tensor], _: Any) -> Tensor:
    return tf.size(inputs[0])


def all_rows(inputs: list[Tensor], _: Any) -> Tensor:
    return tf.size(inputs[1])


def scattered(inputs: list[Tensor], _: Any) -> Tensor:
    """As many as there are updates: all of them may meet in one place."""
    indices = inputs[0] if inputs[0].dtype.is_integer else inputs[1]
    return tf.reduce_prod(tf.shape(indices)[:-1])


def of_einsum(inputs: list[Tensor], attr: Any) -> Tensor:
    """The sizes of the labels that the output does not have."""
    left, right = attr["equation"].s.decode().replace(" ", "").split("->")
    sizes: dict[str, Tensor] = {}
    for labels, array in zip(left.split(","), inputs, strict=True):
        before, _, after = labels.partition("...")
        shape = tf.shape(array)
        sizes |= {label: shape[n] for n, label in enumerate(before)}
        sizes |= {label: shape[n - len(after)] for n, label in enumerate(after)}
    count = tf.constant(1)
    for label in sorted(set(sizes) - set(right)):
        count *= sizes[label]
    return count
