"""Which layers of a model a node of its graph belongs to, by the scopes in the node's name.

A TensorFlow node is `SCOPE/SCOPE/NAME`: Keras opens a scope for each layer. A converted file keeps
such names for its own tensors and nodes.
"""

import re
from collections.abc import Collection, Iterable, Iterator


def plain_name(name: str) -> str:
    """A tensor's name without the functions that it is in."""
    return re.sub(r"^(?:(?:Stateful)?PartitionedCall(?:_\d+)?/)+", "", name.removesuffix(":0"))


def innermost_layer(node: str, layers: Collection[str]) -> str:
    """The innermost of a model's layers in which a node is; empty: none."""
    for scope in reversed(plain_name(node).split("/")[:-1]):
        if (name := _layer(scope, layers)) in layers:
            return name
    return ""


def is_in(node: str, layer: str, layers: Collection[str]) -> bool:
    """Whether a node is in a layer; of what is no layer, in a scope of this name or named so.

    Args:
        node: The node's name.
        layer: The name that is looked for.
        layers: The model's layers.
    """
    parts = plain_name(node).split("/")
    if layer in layers:  # an operation that has its name by chance is not meant
        parts = parts[:-1]
    return any(_layer(part, layers) == layer for part in parts)


def names_in(names: Iterable[str], wanted: Collection[str], layers: Collection[str]) -> set[str]:
    """Those of some tensors' names that are in one of the layers wanted.

    A fused tensor is named after all of its parts (`a;b;c`): it is in the layers of all of them.
    """
    return {
        name
        for name in names
        if any(is_in(part, layer, layers) for part in name.split(";") for layer in wanted)
    }


def scopes(nodes: Iterable[str]) -> Iterator[str]:
    """Every name by which a part of a graph can be spoken of."""
    for node in nodes:
        yield from plain_name(node).split("/")


def _layer(scope: str, layers: Collection[str]) -> str:
    """The layer of a scope, which TensorFlow numbers when one is used twice."""
    plain = re.sub(r"_\d+$", "", scope)
    return plain if scope not in layers and plain in layers else scope
