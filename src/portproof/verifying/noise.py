"""How much noise each layer of a variant adds by itself to the model's outputs.

A layer's own noise is what it gives in the variant, less what the original's layer gives of the
same inputs, noise and all. Added to what the layer gives in the original, where nothing else is
noisy, it is carried to the outputs by the original's other layers. So a layer that only passes on
the noise of others has none, and one whose noise is averaged out behind it has little.
"""

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from portproof.bundle.layer_names import innermost_layer, plain_name
from portproof.bundle.tensors import Arrays
from portproof.comparing.metrics import decibel
from portproof.runtimes.protocol import Node
from portproof.verifying.diagnosis import LayerNoise

# Ops that compute nothing.
_WEIGHTS = frozenset({"Const", "Placeholder", "ReadVariableOp", "VarHandleOp"})
# (Nodes that are asked for, what other nodes are taken to give) -> what the original gives.
Evaluate = Callable[[Sequence[str], Arrays], Arrays]


def noise_of_layers(
    nodes: Sequence[Node],
    layers: Collection[str],
    right: Arrays,
    got: Arrays,
    output_nodes: Mapping[str, str],
    names: Mapping[str, str],
    evaluate: Evaluate,
) -> list[LayerNoise]:
    """The noise of each layer, the loudest first.

    Args:
        nodes: The original's nodes, in the order of computation.
        layers: The names of its layers; of a model without any, its scopes are taken for layers.
        right: What its nodes give, by node.
        got: What the variant gives for them, where it has them, by node.
        output_nodes: The node of each output, by the output's name.
        names: The variant's own names of its tensors, by node.
        evaluate: Computes nodes of the original.
    """
    places = _places(nodes, right, got)
    floats = {place: got[node] for node, place in places.items()}
    own_names = {place: own for node, place in places.items() if (own := names.get(node))}
    parts = _Parts(nodes, layers, frozenset(floats), frozenset(output_nodes.values()))
    outputs = {n: node for n, node in output_nodes.items() if right[node].dtype.kind == "f"}
    found = []
    for layer, members in parts.by_layer.items():
        if not outputs or not parts.leaving(members):
            continue  # no float is made of it
        made = _alone(parts, members, right, floats, evaluate, list(outputs.values()))
        sqnr = {name: signal_to_noise(right[node], made[node]) for name, node in outputs.items()}
        tensors = tuple(own_names[n] for n in parts.leaving(members) if n in own_names)
        found.append(LayerNoise(parts.fused(layer), tensors, sqnr))
    return sorted(found, key=lambda noise: noise.loudest)


def _places(nodes: Sequence[Node], right: Arrays, got: Arrays) -> dict[str, str]:
    """By node that the variant has floats for, the node whose values those are nearest to.

    A convolution's tensor has its bias already, and an activation, where these are fused: it is
    then that of a node behind the one whose name it has.
    """
    after: dict[str, list[str]] = {}
    for node in nodes:
        for name in node.inputs:
            after.setdefault(name, []).append(node.name)
    places = {}
    for name, array in got.items():
        if array.dtype.kind == "f" and right[name].dtype.kind == "f":
            chain = [name]
            while len(behind := after.get(chain[-1], [])) == 1 and behind[0] not in got:
                value = right.get(behind[0])
                if value is None or value.dtype.kind != "f" or value.shape != array.shape:
                    break
                chain += behind
            places[name] = min(reversed(chain), key=lambda node: _distance(right[node], array))
    return places


def _distance(right: Any, got: Any) -> float:
    with np.errstate(invalid="ignore", over="ignore"):
        return float(np.nansum((got.astype(np.float64) - right) ** 2))


def _alone(
    parts: "_Parts",
    members: Sequence[str],
    right: Arrays,
    got: Arrays,
    evaluate: Evaluate,
    outputs: Sequence[str],
) -> Arrays:
    """What the original's outputs are where one layer alone is noisy."""
    leaving = parts.leaving(members)
    before = {name: got[name] for name in parts.entering(members)}
    given: Arrays = {}
    for name in leaving:
        # What of its noise comes back to a layer that is called again is carried on, and not its
        # own once more.
        plain = evaluate([name], given)[name] if given else right[name]
        noisy = {**before, **{earlier: got[earlier] for earlier in given}}
        given[name] = _with_noise(plain, evaluate([name], noisy)[name], got[name])
    return evaluate(outputs, given)


def _with_noise(plain: Any, of_same_inputs: Any, got: Any) -> Any:
    """`plain` with what a layer itself adds; where that is not finite, what the layer gave."""
    with np.errstate(invalid="ignore", over="ignore"):
        noisy = plain + (got - of_same_inputs)
    return np.where(np.isfinite(noisy), noisy, got).astype(plain.dtype)


def signal_to_noise(right: Any, got: Any) -> float:
    """10 log10(signal / noise) over a whole output, in dB; infinite without noise."""
    finite = np.isfinite(right)
    signal = right.astype(np.float64)[finite]
    noise = got.astype(np.float64)[finite] - signal
    if not np.isfinite(noise).all():
        return -math.inf
    return decibel(float((signal**2).sum()), float((noise**2).sum()))


@dataclass(frozen=True)
class _Parts:
    """The compared tensors of a graph by the layers that make them.

    Attributes:
        nodes: The graph's nodes, in the order of computation.
        layers: The names of the model's layers.
        compared: The nodes whose tensors are known of the variant.
        outputs: The nodes of the outputs.
    """

    nodes: Sequence[Node]
    layers: Collection[str]
    compared: frozenset[str]
    outputs: frozenset[str]

    @cached_property
    def by_layer(self) -> dict[str, list[str]]:
        """The compared nodes of each layer, in the order of computation."""
        grouped: dict[str, list[str]] = {}
        for node in self.nodes:
            if node.name in self.compared and (layer := self._layer(node.name)):
                grouped.setdefault(layer, []).append(node.name)
        return grouped

    def entering(self, members: Collection[str]) -> set[str]:
        """The compared nodes outside of a layer that its own are computed from at once."""
        return {b for name in members for b in self._before[name]} - set(members)

    def leaving(self, members: Collection[str]) -> list[str]:
        """The nodes of a layer that others are computed from, or that are outputs."""
        inside = set(members)
        return [
            name
            for name in members
            if name in self.outputs or any(n not in inside for n in self._after.get(name, ()))
        ]

    def fused(self, layer: str) -> tuple[str, ...]:
        """A layer behind those of which the variant shows no tensor before it."""
        inside = {
            node.name
            for name in self.by_layer[layer]
            for node in self._upstream(name)
            if node.name not in self.compared and node.op not in _WEIGHTS
        }
        earlier = (self._own_layer(node.name) for node in self.nodes if node.name in inside)
        return tuple(dict.fromkeys(name for name in (*earlier, layer) if name))

    @cached_property
    def _by_name(self) -> dict[str, Node]:
        return {node.name: node for node in self.nodes}

    @cached_property
    def _before(self) -> dict[str, set[str]]:
        """By compared node, the compared nodes that it is computed from at once."""
        return {
            name: {n.name for n in self._upstream(name) if n.name in self.compared}
            for name in self.compared
        }

    @cached_property
    def _after(self) -> dict[str, set[str]]:
        after: dict[str, set[str]] = {}
        for name, before in self._before.items():
            for earlier in before:
                after.setdefault(earlier, set()).add(name)
        return after

    def _upstream(self, name: str) -> Iterator[Node]:
        """The nodes from which a node is computed, the nearest first, to the compared ones."""
        waiting, seen = list(self._by_name[name].inputs), set()
        while waiting:
            current = waiting.pop(0)
            if current in seen:
                continue
            seen.add(current)
            yield self._by_name[current]
            if current not in self.compared:
                waiting += self._by_name[current].inputs

    def _layer(self, name: str) -> str:
        """The layer of a node, or of what it was fused with: an output has a name of its own."""
        if layer := self._own_layer(name):
            return layer
        for node in self._upstream(name):
            if node.name in self.compared:
                return ""
            if layer := self._own_layer(node.name):
                return layer
        return ""

    def _own_layer(self, name: str) -> str:
        if self.layers:
            return innermost_layer(name, self.layers)
        scopes = plain_name(name).split("/")
        return "" if self._by_name[name].op == "Identity" else scopes[-2:][0]
