"""Einsum as transpositions and one matrix product."""

import functools
import operator
import string
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from portproof.graphs.splicing import Tensor


def einsum(node: Any, inputs: Sequence[Tensor]) -> Tensor | None:
    """The same sums of products, of two operands without a repeated label.

    The labels of each operand are brought into the order (batch, free, summed). Labels that one
    operand alone has and the result does not have are summed first.
    """
    equation = _without_ellipsis(node.attr["equation"].s.decode().replace(" ", ""), inputs)
    left, result = equation.split("->")
    terms = left.split(",")
    if len(terms) != 2 or "." in equation or any(len(set(term)) < len(term) for term in terms):
        return None
    first, second = terms
    operands = [
        _summed(inputs[0], first, result, second),
        _summed(inputs[1], second, result, first),
    ]
    first, second = (
        "".join(c for c in term if c in result or c in other)
        for term, other in ((first, second), (second, first))
    )
    sizes = {
        label: _size(operand, axis)
        for operand, term in zip(operands, (first, second), strict=True)
        for axis, label in enumerate(term)
    }
    batch = [c for c in first if c in second and c in result]
    shared = [c for c in first if c in second and c not in result]
    free = [[c for c in term if c not in (*batch, *shared)] for term in (first, second)]
    a = _arranged(operands[0], first, [batch, free[0], shared], sizes)
    b = _arranged(operands[1], second, [batch, shared, free[1]], sizes)
    labels = [*batch, *free[0], *free[1]]
    product = tf.reshape(tf.matmul(a, b), _shape([sizes[c] for c in labels]))
    return tf.transpose(product, [labels.index(c) for c in result]) if result else product


def _without_ellipsis(equation: str, inputs: Sequence[Tensor]) -> str:
    """With a label for each axis that an ellipsis stands for; as it is where nobody knows them."""
    left, result = equation.split("->")
    terms = left.split(",")
    if "..." not in left or any(x.shape.rank is None for x in inputs):
        return equation
    counts = [
        x.shape.rank - len(term.replace("...", ""))
        for x, term in zip(inputs, terms, strict=True)
        if "..." in term
    ]
    if len(set(counts)) > 1:  # the axes of one are repeated for the other
        return equation
    labels = "".join(c for c in string.ascii_letters if c not in equation)[: counts[0]]
    return ",".join(t.replace("...", labels) for t in terms) + "->" + result.replace("...", labels)


def _summed(x: Tensor, term: str, result: str, other: str) -> Tensor:
    axes = [axis for axis, label in enumerate(term) if label not in result and label not in other]
    return tf.reduce_sum(x, axis=axes) if axes else x


def _size(x: Tensor, axis: int) -> Any:
    known = x.shape[axis]
    return tf.shape(x)[axis] if known is None else known


def _arranged(x: Tensor, term: str, groups: list[list[str]], sizes: dict[str, Any]) -> Tensor:
    """The operand with its labels in the groups' order, and each of the last two groups as one."""
    order = [label for group in groups for label in group]
    x = tf.transpose(x, [term.index(label) for label in order])
    rest = [functools.reduce(operator.mul, [sizes[c] for c in group], 1) for group in groups[1:]]
    return tf.reshape(x, _shape([*(sizes[c] for c in groups[0]), *rest]))


def _shape(sizes: list[Any]) -> Any:
    """For a reshape. One unknown size is left to it: WebGPU cannot compute one in time."""
    unknown = [n for n, size in enumerate(sizes) if not isinstance(size, int)]
    if len(unknown) > 1:
        return tf.stack(sizes)
    return [-1 if n in unknown else size for n, size in enumerate(sizes)]
