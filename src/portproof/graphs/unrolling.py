"""Loops with a known number of iterations, written out: recurrent layers are made of them.

Their lists of tensors go with them. LiteRT has no op for those, WebGL and WebGPU cannot hold them,
and they tie a loop to a batch of known size.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import graph_pb2
from tensorflow.core.framework.node_def_pb2 import NodeDef as Node
from tensorflow.python.framework import op_def_registry

from portproof.graphs.references import data_inputs, in_order

Tensor = Any
NOTE = "loops of known length written out, because what loads it has no lists of tensors there"
LOOPS = ("While", "StatelessWhile")
MAX_ITERATIONS = 128
# Nodes that may come of it: a larger graph is too large to ship.
MAX_NODES = 20_000
# Elements of a tensor whose value is followed while the graph is rebuilt.
_MAX_FOLLOWED = 64
_UNKNOWN_SIZE = -(2**30)
# Ops that select from a shape of which some sizes are unknown. Arithmetic on the marker for an
# unknown size would make it look like a number.
_SELECTING = {"StridedSlice", "Slice", "GatherV2", "Gather", "Identity", "Squeeze", "ExpandDims"}


class UnknownLengthError(Exception):
    """The number of iterations is not known, or a list of tensors is used in another way."""


@dataclass
class _List:
    """A list of tensors while the graph is rebuilt; an element is None until it is set."""

    elements: list[Tensor | None]


def has_loops(graph: graph_pb2.GraphDef) -> bool:
    return any(node.op in LOOPS for node in graph.node)


def has_lists(graph: graph_pb2.GraphDef) -> bool:
    """Whether a graph or one of its functions has a list of tensors."""
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    return any(node.op in _LIST_OPS for node in nodes)


def unrolled(graph: graph_pb2.GraphDef) -> graph_pb2.GraphDef:
    """The graph without its loops, or the graph itself where the length of one is not known.

    For a graph with loops as functions (`While`), whose tensors keep their names.
    """
    if not has_loops(graph):
        return graph
    result = tf.Graph()
    try:
        with result.as_default():
            _Rebuilder(graph.library.function).rebuild(graph.node)
    except UnknownLengthError:
        return graph
    return result.as_graph_def()


class _Rebuilder:
    """Creates nodes one after the other in the default graph, loops iteration by iteration."""

    def __init__(self, functions: Sequence[Any]) -> None:
        self._functions = {function.signature.name: function for function in functions}
        self._count = 0

    def rebuild(self, nodes: Sequence[Node]) -> None:
        """Create the nodes of a graph, under their names."""
        outputs: dict[str, list[Any]] = {}
        for node in in_order(nodes):
            inputs = [self._in_graph(outputs, ref) for ref in data_inputs(node)]
            outputs[node.name] = self._outputs(node, inputs, node.name)

    def call(self, name: str, arguments: Sequence[Any], scope: str) -> list[Any]:
        """Create the nodes of a library function; its results."""
        function = self._functions[name]
        named = zip(function.signature.input_arg, arguments, strict=True)
        outputs: dict[str, list[Any]] = {argument.name: [value] for argument, value in named}
        nodes = {node.name: node for node in function.node_def}
        for node in in_order(function.node_def):
            inputs = [self._in_function(outputs, nodes, ref) for ref in data_inputs(node)]
            outputs[node.name] = self._outputs(node, inputs, f"{scope}/{node.name}")
        results = (function.ret[arg.name] for arg in function.signature.output_arg)
        return [self._in_function(outputs, nodes, ref) for ref in results]

    def _in_graph(self, outputs: Mapping[str, list[Any]], ref: str) -> Any:
        name, _, number = ref.partition(":")
        return outputs[name][int(number or 0)]

    def _in_function(
        self, outputs: Mapping[str, list[Any]], nodes: Mapping[str, Node], ref: str
    ) -> Any:
        """Inside a function a reference is `ARGUMENT` or `NODE:OUTPUT:0` (function.proto)."""
        name, *rest = ref.split(":")
        if name not in nodes:
            return outputs[name][0]
        position = 0
        for arg in op_def_registry.get(nodes[name].op).output_arg:
            if arg.name == rest[0]:
                break
            position += _tensor_count(nodes[name], arg)
        return outputs[name][position + int(rest[1])]

    def _outputs(self, node: Node, inputs: list[Any], name: str) -> list[Any]:
        self._count += 1
        if self._count > MAX_NODES:
            raise UnknownLengthError
        if node.op in LOOPS:
            return self._loop(node, inputs, name)
        if node.op in ("PartitionedCall", "StatefulPartitionedCall"):
            return self.call(node.attr["f"].func.name, inputs, name)
        if node.op in _LIST_OPS:
            return [_LIST_OPS[node.op](inputs)]
        if node.op == "NoOp":
            return []
        if any(isinstance(value, _List) for value in inputs):
            if node.op == "Identity":
                return inputs
            raise UnknownLengthError
        return _operation(node, inputs, name)

    def _loop(self, node: Node, inputs: list[Any], name: str) -> list[Any]:
        condition, body = node.attr["cond"].func.name, node.attr["body"].func.name
        state = inputs
        for iteration in range(MAX_ITERATIONS + 1):
            [goes_on] = self.call(condition, state, f"{name}/cond_{iteration}")
            known = tf.get_static_value(goes_on)
            if known is None:
                raise UnknownLengthError
            if not known:
                return state
            state = self.call(body, state, f"{name}/{iteration}")
        raise UnknownLengthError


def _tensor_count(node: Node, arg: Any) -> int:
    """How many tensors an output argument of an op stands for."""
    if arg.number_attr:
        return int(node.attr[arg.number_attr].i)
    return len(node.attr[arg.type_list_attr].list.type) if arg.type_list_attr else 1


def _operation(node: Node, inputs: list[Tensor], name: str) -> list[Tensor]:
    """The same operation on these tensors, or a constant where all its inputs are known."""
    if any(attr.WhichOneof("value") == "func" for attr in node.attr.values()):
        raise UnknownLengthError  # a branch, whose function the new graph does not have
    if (value := _known_value(node, inputs)) is not None:
        return [tf.constant(value, name=f"{name}/")]
    return list(_create(node, inputs, name).outputs)


def _create(node: Node, inputs: list[Tensor], name: str) -> Any:
    graph = tf.compat.v1.get_default_graph()
    attrs = {key: value for key, value in node.attr.items() if key != "_class"}
    return graph.create_op(node.op, inputs, None, name=f"{name}/", attrs=attrs)


def _known_value(node: Node, inputs: list[Tensor]) -> Any:
    """The result of an operation on small known integers and booleans: a counter, a size."""
    if not inputs or any(tensor.dtype.is_floating for tensor in inputs):
        return None
    values = [_value(tensor, partly=node.op in _SELECTING) for tensor in inputs]
    if any(value is None or value.size > _MAX_FOLLOWED for value in values):
        return None
    with tf.Graph().as_default() as graph:
        outputs = _create(node, [tf.constant(value) for value in values], "node").outputs
        if len(outputs) != 1 or outputs[0].dtype.is_floating:
            return None
        with tf.compat.v1.Session(graph=graph) as session:
            result = session.run(outputs[0])
    return None if np.any(result == _UNKNOWN_SIZE) else result


def _value(tensor: Tensor, *, partly: bool) -> Any:
    """A tensor's value; if `partly`, also of a shape with unknown sizes, which are marked."""
    value = tf.get_static_value(tensor)
    if value is None and partly and tensor.op.type == "Shape" and tensor.op.inputs[0].shape.rank:
        sizes = tensor.op.inputs[0].shape.as_list()
        marked = [_UNKNOWN_SIZE if size is None else size for size in sizes]
        return np.array(marked, tensor.dtype.as_numpy_dtype)
    return None if value is None else np.asarray(value)


def _index(tensor: Tensor) -> int:
    value = tf.get_static_value(tensor)
    if value is None:
        raise UnknownLengthError
    return int(value)


def _reserve(inputs: list[Any]) -> _List:
    return _List([None] * _index(inputs[1]))


def _from_tensor(inputs: list[Any]) -> _List:
    if inputs[0].shape.rank is None or inputs[0].shape[0] is None:
        raise UnknownLengthError
    return _List(list(tf.unstack(inputs[0])))


def _get_item(inputs: list[Any]) -> Tensor:
    element = inputs[0].elements[_index(inputs[1])]
    if element is None:
        raise UnknownLengthError
    return element


def _set_item(inputs: list[Any]) -> _List:
    elements = list(inputs[0].elements)
    elements[_index(inputs[1])] = inputs[2]
    return _List(elements)


def _stack(inputs: list[Any]) -> Tensor:
    if any(element is None for element in inputs[0].elements):
        raise UnknownLengthError
    return tf.stack(inputs[0].elements)


_LIST_OPS: dict[str, Callable[[list[Any]], Any]] = {
    "TensorListReserve": _reserve,
    "TensorListFromTensor": _from_tensor,
    "TensorListGetItem": _get_item,
    "TensorListSetItem": _set_item,
    "TensorListStack": _stack,
}
