"""Loops with a known number of turns, written out: what recurrent layers are made of.

Lists of tensors go with them, which LiteRT has no op for, WebGL and WebGPU cannot hold, and which
tie a loop to a batch of known size.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import graph_pb2
from tensorflow.core.framework.node_def_pb2 import NodeDef as Node
from tensorflow.python.framework import op_def_registry

Tensor = Any
NOTE = "loops of known length written out, for what loads it has no lists of tensors there"
LOOPS = ("While", "StatelessWhile")
MOST_TURNS = 128
# Of the nodes that may come of it: a graph of more is no more a graph to ship.
MOST_NODES = 20_000
_SMALL = 64  # elements of what is followed when the graph is made
_UNKNOWN_SIZE = -(2**30)
# What chooses from a shape of which some sizes are unknown. Arithmetic would make numbers of them.
_CHOOSING = {"StridedSlice", "Slice", "GatherV2", "Gather", "Identity", "Squeeze", "ExpandDims"}


class UnknownError(Exception):
    """A loop whose turns are not known, or a list that is used in another way."""


@dataclass
class _List:
    """A list of tensors while the graph is rebuilt: its elements, `None` where nothing was set."""

    elements: list[Tensor | None]


def has_loops(graph: graph_pb2.GraphDef) -> bool:
    return any(node.op in LOOPS for node in graph.node)


def has_lists(graph: graph_pb2.GraphDef) -> bool:
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    return any(node.op in _LISTS for node in nodes)


def unrolled(graph: graph_pb2.GraphDef) -> graph_pb2.GraphDef:
    """The graph without its loops; the graph itself where one's turns are not known.

    For a graph with loops as functions (`While`), whose tensors keep their names.
    """
    if not has_loops(graph):
        return graph
    made = tf.Graph()
    try:
        with made.as_default():
            _Body(graph.library.function).run(graph.node)
    except UnknownError:
        return graph
    return made.as_graph_def()


class _Body:
    """Rebuilds nodes one after the other, and follows what is known when the graph is made."""

    def __init__(self, functions: Sequence[Any]) -> None:
        self._functions = {function.signature.name: function for function in functions}
        self._count = 0

    def run(self, nodes: Sequence[Node]) -> None:
        """The nodes of a graph, under their names."""
        values: dict[str, list[Any]] = {}
        for node in _ordered(nodes):
            given = [self._value(values, ref) for ref in node.input if not ref.startswith("^")]
            values[node.name] = self._made(node, given, node.name)

    def call(self, name: str, given: Sequence[Any], scope: str) -> list[Any]:
        """What a function of the library returns."""
        function = self._functions[name]
        arguments = zip(function.signature.input_arg, given, strict=True)
        values: dict[str, list[Any]] = {argument.name: [value] for argument, value in arguments}
        nodes = {node.name: node for node in function.node_def}
        for node in _ordered(function.node_def):
            refs = [ref for ref in node.input if not ref.startswith("^")]
            inputs = [self._inner(values, nodes, ref) for ref in refs]
            values[node.name] = self._made(node, inputs, f"{scope}/{node.name}")
        outputs = (function.ret[arg.name] for arg in function.signature.output_arg)
        return [self._inner(values, nodes, ref) for ref in outputs]

    def _value(self, values: Mapping[str, list[Any]], ref: str) -> Any:
        name, _, output = ref.partition(":")
        return values[name][int(output or 0)]

    def _inner(self, values: Mapping[str, list[Any]], nodes: Mapping[str, Node], ref: str) -> Any:
        """Inside a function a tensor is `ARGUMENT` or `NODE:OUTPUT:0`."""
        name, *rest = ref.split(":")
        if name not in nodes:
            return values[name][0]
        position = 0
        for arg in op_def_registry.get(nodes[name].op).output_arg:
            if arg.name == rest[0]:
                break
            position += _length(nodes[name], arg)
        return values[name][position + int(rest[1])]

    def _made(self, node: Node, given: list[Any], name: str) -> list[Any]:
        self._count += 1
        if self._count > MOST_NODES:
            raise UnknownError
        if node.op in LOOPS:
            return self._loop(node, given, name)
        if node.op in ("PartitionedCall", "StatefulPartitionedCall"):
            return self.call(node.attr["f"].func.name, given, name)
        if node.op in _LISTS:
            return [_LISTS[node.op](given)]
        if node.op == "NoOp":
            return []
        if any(isinstance(value, _List) for value in given):
            if node.op == "Identity":
                return given
            raise UnknownError
        return _operation(node, given, name)

    def _loop(self, node: Node, given: list[Any], name: str) -> list[Any]:
        condition, body = node.attr["cond"].func.name, node.attr["body"].func.name
        state = given
        for turn in range(MOST_TURNS + 1):
            [goes_on] = self.call(condition, state, f"{name}/cond_{turn}")
            known = tf.get_static_value(goes_on)
            if known is None:
                raise UnknownError
            if not known:
                return state
            state = self.call(body, state, f"{name}/{turn}")
        raise UnknownError


def _ordered(nodes: Sequence[Node]) -> list[Node]:
    """Each after those that it takes from."""
    known = {node.name: node for node in nodes}
    before = {n: [ref.lstrip("^").split(":")[0] for ref in known[n].input] for n in known}
    return [known[name] for name in TopologicalSorter(before).static_order() if name in known]


def _length(node: Node, arg: Any) -> int:
    if arg.number_attr:
        return int(node.attr[arg.number_attr].i)
    return len(node.attr[arg.type_list_attr].list.type) if arg.type_list_attr else 1


def _operation(node: Node, given: list[Tensor], name: str) -> list[Tensor]:
    """The same operation of these tensors, or a constant where all that it takes is known."""
    if any(attr.WhichOneof("value") == "func" for attr in node.attr.values()):
        raise UnknownError  # a branch, whose function the new graph has not
    if (value := _known(node, given)) is not None:
        return [tf.constant(value, name=f"{name}/")]
    return list(_create(node, given, name).outputs)


def _create(node: Node, given: list[Tensor], name: str) -> Any:
    graph = tf.compat.v1.get_default_graph()
    attrs = {key: value for key, value in node.attr.items() if key != "_class"}
    return graph.create_op(node.op, given, None, name=f"{name}/", attrs=attrs)


def _known(node: Node, given: list[Tensor]) -> Any:
    """The value of an operation on small known integers and booleans: a counter, a size."""
    if not given or any(value.dtype.is_floating for value in given):
        return None
    values = [_value_of(tensor, in_part=node.op in _CHOOSING) for tensor in given]
    if any(value is None or value.size > _SMALL for value in values):
        return None
    with tf.Graph().as_default() as graph:
        made = _create(node, [tf.constant(value) for value in values], "node").outputs
        if len(made) != 1 or made[0].dtype.is_floating:
            return None
        with tf.compat.v1.Session(graph=graph) as session:
            value = session.run(made[0])
    return None if np.any(value == _UNKNOWN_SIZE) else value


def _value_of(tensor: Tensor, *, in_part: bool) -> Any:
    """A tensor's value; of a shape that is known `in_part`, with a mark for what is not."""
    value = tf.get_static_value(tensor)
    if value is None and in_part and tensor.op.type == "Shape" and tensor.op.inputs[0].shape.rank:
        sizes = tensor.op.inputs[0].shape.as_list()
        value = [_UNKNOWN_SIZE if size is None else size for size in sizes]
        return np.array(value, tensor.dtype.as_numpy_dtype)
    return None if value is None else np.asarray(value)


def _index(tensor: Tensor) -> int:
    value = tf.get_static_value(tensor)
    if value is None:
        raise UnknownError
    return int(value)


def _reserved(given: list[Any]) -> _List:
    return _List([None] * _index(given[1]))


def _from_tensor(given: list[Any]) -> _List:
    if given[0].shape.rank is None or given[0].shape[0] is None:
        raise UnknownError
    return _List(list(tf.unstack(given[0])))


def _item(given: list[Any]) -> Tensor:
    element = given[0].elements[_index(given[1])]
    if element is None:
        raise UnknownError
    return element


def _with_item(given: list[Any]) -> _List:
    elements = list(given[0].elements)
    elements[_index(given[1])] = given[2]
    return _List(elements)


def _stacked(given: list[Any]) -> Tensor:
    if any(element is None for element in given[0].elements):
        raise UnknownError
    return tf.stack(given[0].elements)


_LISTS: dict[str, Callable[[list[Any]], Any]] = {
    "TensorListReserve": _reserved,
    "TensorListFromTensor": _from_tensor,
    "TensorListGetItem": _item,
    "TensorListSetItem": _with_item,
    "TensorListStack": _stacked,
}
