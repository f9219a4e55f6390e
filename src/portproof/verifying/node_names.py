"""A runtime's names for tensors, matched with the nodes of the reference's graph."""

from collections.abc import Container, Iterator
from typing import Any

import numpy as np

from portproof.bundle.layer_names import plain_name
from portproof.bundle.tensors import Arrays
from portproof.runtimes.protocol import Node


def own_names(tensors: Arrays, nodes: list[Node], reference: Arrays) -> dict[str, str]:
    """A runtime's own names of its tensors, by the reference's nodes, where name and shape agree.

    TF.js keeps TensorFlow's names, and so does ONNX, where a tensor may have its channels first. A
    TFLite file leaves out the function's own name, names a fused tensor after all of its parts
    (`a;b;c`), of which it holds the last one computed, and puts a number behind a name that a
    weight has too (`a1`).

    Args:
        tensors: The runtime's tensors by its own names.
        nodes: The reference's nodes, in the order of computation.
        reference: The reference's tensors, by node.
    """
    places = {node.name: n for n, node in enumerate(nodes)}
    by_plain_name = {plain_name(node.name): node.name for node in nodes}
    matched: dict[str, str] = {}
    for name, array in tensors.items():
        if name in reference and reference[name].shape == array.shape:  # the same file's
            matched[name] = name
            continue
        parts = name.split(";")
        parts[-1:] = _without_number(parts[-1], by_plain_name)
        candidates = [by_plain_name[p] for p in map(plain_name, parts) if p in by_plain_name]
        for node in sorted(candidates, key=places.__getitem__, reverse=True):
            expected = reference.get(node)
            if expected is not None and in_layout_of(expected, array) is not None:
                matched[node] = name
                break
    return matched


def in_layout_of(expected: Any, array: Any) -> Any:
    """A tensor with its axes as the reference's: it may have the channels first, and that last.

    None where it has another shape. Where both fit, as of a square, what is nearer is taken.
    """
    forms = [array, np.moveaxis(array, 1, -1)] if array.ndim > 2 else [array]
    fitting = [form for form in forms if form.shape == expected.shape]
    if not fitting[1:]:
        return fitting[0] if fitting else None
    return min(fitting, key=lambda form: _distance(expected, form))


def _distance(expected: Any, array: Any) -> float:
    with np.errstate(invalid="ignore", over="ignore"):
        return float(np.nansum((array.astype(np.float64) - expected) ** 2))


def _without_number(name: str, known: Container[str]) -> list[str]:
    """The names that a name stands for, which may have a number behind it."""
    if plain_name(name) in known:
        return [name]
    digits = len(name) - len(name.rstrip("0123456789"))
    return [name, *(name[:-n] for n in range(1, digits + 1))]


def named_in(error: str, nodes: list[Node]) -> Iterator[Node]:
    """The nodes that an error is about: by their name, or else by their op's."""
    named = [n for n in nodes if len(plain_name(n.name)) > 3 and plain_name(n.name) in error]
    if named:
        yield max(named, key=lambda node: len(node.name))
        return
    words = {_letters(word) for word in error.replace("(", " ").replace("'", " ").split()}
    yield from (node for node in nodes if _letters(node.op) in words - {"const", "identity"})


def _letters(word: str) -> str:
    """An op's name without the spelling of one runtime: FULLY_CONNECTED, FlexErf."""
    return "".join(c for c in word.lower() if c.isalnum()).removeprefix("flex")
