"""Nested inputs and outputs, and the flat names by which a signature has them."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from typing_extensions import TypeAliasType

# Names in the place of the leaves: `{"boxes": ["boxes_0", "boxes_1"]}`. A named alias, because
# it refers to itself.
Names = TypeAliasType("Names", "str | dict[str, Names] | list[Names]")


def flatten(structure: Any, prefix: str = "") -> dict[str, Any]:
    """The leaves of nested mappings and sequences, by their paths joined with `_`.

    `{"boxes": [a, b]}` is `{"boxes_0": a, "boxes_1": b}`. Raises ValueError where two paths give
    one name.
    """
    if isinstance(structure, Mapping):
        children = [(str(key), value) for key, value in structure.items()]
    elif _is_sequence(structure):
        children = [(str(n), value) for n, value in enumerate(structure)]
    else:
        return {prefix: structure}
    leaves: dict[str, Any] = {}
    for key, value in children:
        for name, leaf in flatten(value, f"{prefix}_{key}" if prefix else key).items():
            if name in leaves:
                raise ValueError(f"two leaves would be named {name}")
            leaves[name] = leaf
    return leaves


def map_leaves(name: Callable[[Any], str], structure: Any) -> Names:
    """The structure with `name(leaf)` in the place of each leaf, as JSON has it."""
    if isinstance(structure, Mapping):
        return {str(key): map_leaves(name, value) for key, value in structure.items()}
    if _is_sequence(structure):
        return [map_leaves(name, value) for value in structure]
    return name(structure)


def output_names(layers: Sequence[str]) -> list[str]:
    """Names for a list of outputs by the layers that make them; a layer may make several.

    `["gru", "gru", "head"]` is `["gru_0", "gru_1", "head"]`.
    """
    repeated = {layer for layer, count in Counter(layers).items() if count > 1}
    seen: Counter[str] = Counter()
    names = []
    for layer in layers:
        names.append(f"{layer}_{seen[layer]}" if layer in repeated else layer)
        seen[layer] += 1
    return names


def _is_sequence(value: Any) -> bool:
    return isinstance(value, list | tuple)
