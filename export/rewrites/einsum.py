"""Einsum as transpositions and one matrix product."""

import functools
import operator
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from oracle.splicing import Tensor


def einsum(node: Any, inputs: Sequence[Tensor]) -> Tensor | None:
    """The same sums of products, of two operands without a repeated or an elided label.

    The labels of each operand are brought into the order (batch, own, summed); labels that one
    operand alone has and the result has not are summed first.
    """
    left, right = node.attr["equation"].s.decode().replace(" ", "").split("->")
    terms = left.split(",")
    if len(terms) != 2 or "." in left or any(len(set(term)) < len(term) for term in terms):
        return None
    operands = [_summed(x, term, right, other) for x, term, other in _with_other(inputs, terms)]
    terms = [
        "".join(c for c in t if c in right or c in o) for _, t, o in _with_other(inputs, terms)
    ]
    sizes = {c: _size(x, n) for x, t in zip(operands, terms, strict=True) for n, c in enumerate(t)}
    batch = [c for c in terms[0] if c in terms[1] and c in right]
    shared = [c for c in terms[0] if c in terms[1] and c not in right]
    own = [[c for c in term if c not in (*batch, *shared)] for term in terms]
    a = _arranged(operands[0], terms[0], [batch, own[0], shared], sizes)
    b = _arranged(operands[1], terms[1], [batch, shared, own[1]], sizes)
    made = [*batch, *own[0], *own[1]]
    product = tf.reshape(tf.matmul(a, b), _shape([sizes[c] for c in made]))
    return tf.transpose(product, [made.index(c) for c in right]) if right else product


def _with_other(inputs: Sequence[Tensor], terms: Sequence[str]) -> list[tuple[Tensor, str, str]]:
    return [(inputs[0], terms[0], terms[1]), (inputs[1], terms[1], terms[0])]


def _summed(x: Tensor, term: str, right: str, other: str) -> Tensor:
    axes = [n for n, c in enumerate(term) if c not in right and c not in other]
    return tf.reduce_sum(x, axis=axes) if axes else x


def _size(x: Tensor, axis: int) -> Any:
    known = x.shape[axis]
    return tf.shape(x)[axis] if known is None else known


def _arranged(x: Tensor, term: str, groups: list[list[str]], sizes: dict[str, Any]) -> Tensor:
    """The operand with its labels in the groups' order, and each of the last two groups as one."""
    order = [c for group in groups for c in group]
    x = tf.transpose(x, [term.index(c) for c in order])
    rest = [functools.reduce(operator.mul, [sizes[c] for c in group], 1) for group in groups[1:]]
    return tf.reshape(x, _shape([*(sizes[c] for c in groups[0]), *rest]))


def _shape(sizes: list[Any]) -> Any:
    """For a reshape. One unknown size is left to it: WebGPU cannot compute one in time."""
    unknown = [n for n, size in enumerate(sizes) if not isinstance(size, int)]
    if len(unknown) > 1:
        return tf.stack(sizes)
    return [-1 if n in unknown else size for n, size in enumerate(sizes)]
