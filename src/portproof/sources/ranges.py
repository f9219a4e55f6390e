"""The values that an input is meant to have, as far as its graph tells."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import node_def_pb2

from portproof.graphs.freezing import freeze
from portproof.graphs.references import node_name, subgraph, tensor_name

# Ops that pass on the values of their first input, in whatever shape.
_PASSING = {
    "Identity",
    "Cast",
    "Reshape",
    "ExpandDims",
    "Squeeze",
    "StridedSlice",
    "Transpose",
    "Slice",
    "Tile",
    "BroadcastTo",
    "GatherV2",
    "Gather",
    "StopGradient",
    "Pack",
    "ConcatV2",
    "SelectV2",  # with which Keras lets indices count from the end
}
_PASSING_ALL_INPUTS = {"Pack", "ConcatV2", "SelectV2"}
_INPUTS = ("Placeholder", "PlaceholderWithDefault")
# A factor smaller than this brings pixels, degrees or seconds to a network's size.
_RESCALES = 1 / 16


@dataclass(frozen=True)
class Normal:
    """Normally distributed, with means and deviations that broadcast to the input's rows."""

    mean: Any = 0.0
    deviation: Any = 1.0

    def sample(self, random: np.random.Generator, shape: Sequence[int]) -> np.ndarray[Any, Any]:
        return np.asarray(random.normal(size=tuple(shape)) * self.deviation + self.mean)


@dataclass(frozen=True)
class Uniform:
    """Between `low` and `high`; whole numbers below `high` where `whole`."""

    low: float
    high: float
    whole: bool = False

    def sample(self, random: np.random.Generator, shape: Sequence[int]) -> np.ndarray[Any, Any]:
        values = random.uniform(self.low, self.high, tuple(shape))
        return np.floor(values) if self.whole else values


Range = Normal | Uniform


def known_ranges(concrete: Any) -> dict[str, Range]:
    """By input, the indices of the smallest table that it indexes, or the range that is normalised.

    Recognised are the first operations on an input: a `Gather` from a constant table or a
    `OneHot` (indices below the size), `(x - mean) / deviation` (as keras.layers.Normalization
    computes), and a small constant factor with an offset (keras.layers.Rescaling).
    """
    frozen = freeze(concrete)
    graph = _Graph(frozen.graph, frozen.weights)
    ranges = {name: graph.range_of(tensor.op.name) for name, tensor in frozen.inputs.items()}
    return {name: known for name, known in ranges.items() if known}


class _Graph:
    """A frozen graph: its nodes by name, the consumers of each, and the values of constants.

    `weights` are the placeholders that stand for weights.
    """

    def __init__(self, graph: Any, weights: Collection[str]) -> None:
        self._graph, self._weights = graph, weights
        self._consumers: dict[str, list[tuple[node_def_pb2.NodeDef, int]]] = {}
        for node in graph.node:
            for position, ref in enumerate(node.input):
                self._consumers.setdefault(node_name(ref), []).append((node, position))

    def range_of(self, placeholder: str) -> Range | None:
        sizes, normal = [], None
        for node, position, before in self._consumers_of(placeholder):
            size = self._table_size(node, position)
            if size is not None:
                sizes.append(size)
            elif normal is None:
                normal = self._normalisation(node, before)
        return Uniform(0, min(sizes), whole=True) if sizes else normal

    def _consumers_of(self, name: str) -> Iterator[tuple[node_def_pb2.NodeDef, int, str]]:
        """The nodes that take an input's unchanged values, at which position, from which node."""
        seen, waiting = set(), [name]
        while waiting:
            before = waiting.pop()
            for node, position in self._consumers.get(before, []):
                if (node.name, position) in seen:
                    continue
                seen.add((node.name, position))
                yield node, position, before
                if node.op in _PASSING and (position == 0 or node.op in _PASSING_ALL_INPUTS):
                    waiting.append(node.name)

    def _table_size(self, node: node_def_pb2.NodeDef, position: int) -> int | None:
        if node.op in ("GatherV2", "Gather") and position == 1:
            shape = self._table_shape(node.input[0])
            axis = 0 if node.op == "Gather" else int(self._constant(node.input[2]) or 0)
            return shape[axis] if shape else None
        if node.op == "OneHot" and position == 0:
            depth = self._constant(node.input[1])
            return None if depth is None else int(depth)
        return None

    def _normalisation(self, node: node_def_pb2.NodeDef, before: str) -> Range | None:
        value = self._other(node, before) if node.op in ("Sub", "Mul") else None
        if value is None:
            return None
        if node.op == "Sub" and node_name(node.input[0]) == before:
            after = self._next(node, "RealDiv")
            deviation = self._other(after, node.name) if after else None
            return None if deviation is None else Normal(value, deviation)
        if node.op == "Mul" and value.size == 1 and 0 < value.item() <= _RESCALES:
            after = self._next(node, "AddV2") or self._next(node, "Sub")
            offset = self._other(after, node.name) if after else None
            shift = 0.0 if offset is None or offset.size != 1 else float(offset.item())
            shift = -shift if after is not None and after.op == "Sub" else shift
            # Onto [-1, 1] where the offset makes it so, else onto [0, 1].
            low = -1.0 if shift < 0 else 0.0
            scale = float(value.item())
            return Uniform((low - shift) / scale, (1.0 - shift) / scale)
        return None

    def _next(self, node: node_def_pb2.NodeDef, op: str) -> node_def_pb2.NodeDef | None:
        consumers = [consumer for consumer, _ in self._consumers.get(node.name, [])]
        return consumers[0] if len(consumers) == 1 and consumers[0].op == op else None

    def _other(self, node: node_def_pb2.NodeDef, name: str) -> Any:
        """The constant that a node of two inputs takes beside one of them."""
        others = [ref for ref in node.input if node_name(ref) != name]
        return self._constant(others[0]) if len(others) == 1 and len(node.input) == 2 else None

    def _table_shape(self, ref: str) -> Sequence[int] | None:
        """The shape of a tensor that depends on weights alone, or None."""
        needed = subgraph(self._graph, [node_name(ref)])
        if any(node.op in _INPUTS and node.name not in self._weights for node in needed.node):
            return None
        with tf.Graph().as_default() as graph:
            tf.graph_util.import_graph_def(needed, name="")
            shape = graph.get_tensor_by_name(tensor_name(ref)).shape
        return shape.as_list() if shape.is_fully_defined() else None

    def _constant(self, ref: str) -> Any:
        """The value of a tensor that depends on no input and on no large weight, or None."""
        needed = subgraph(self._graph, [node_name(ref)])
        if any(node.op in _INPUTS for node in needed.node):
            return None
        with tf.Graph().as_default() as graph:
            tf.graph_util.import_graph_def(needed, name="")
            try:
                with tf.compat.v1.Session(graph=graph) as session:
                    return np.asarray(session.run(tensor_name(ref)))
            except tf.errors.OpError:  # it reads a file, say
                return None
