"""A concrete function's graph with its variables as constants, and its tensors by their names."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import graph_pb2
from tensorflow.core.framework.node_def_pb2 import NodeDef as Node
from tensorflow.python.framework import convert_to_constants as converter

from bundle.errors import ExportError

Weights = dict[str, np.ndarray[Any, Any]]
# Bytes of a variable that is no constant. TensorFlow holds a graph some ten times while one is
# made of another.
LARGE = 1 << 20
# Bytes that a graph with its weights must stay below (protobuf.dev, "Proto Limits").
MOST = 1 << 31


@dataclass(frozen=True)
class Frozen:
    """`inputs` are tensors by the signature's names, `outputs` in the order of the function's.

    Variables are constants in `graph`. Large ones are placeholders, with their values in `weights`
    by the placeholders' names; `filled` puts them back.
    """

    graph: graph_pb2.GraphDef
    inputs: dict[str, Any]
    outputs: list[Any]
    weights: Weights


def freeze(concrete: Any, *, loops: bool = True, inline: bool = False) -> Frozen:
    """Freeze a function of flat inputs.

    With `loops`, they stay functions; else they become the older operations that TF.js runs.
    """
    graph, weights = _converted(concrete, loops=loops, inline=inline)
    captured = {inner.name for _, inner in concrete.graph.captures}
    given = [tensor for tensor in concrete.inputs if tensor.name not in captured]
    inputs = dict(zip(input_names(concrete), given, strict=True))
    needed = subgraph(graph, [tensor.op.name for tensor in (*given, *concrete.outputs)])
    for node in needed.node:  # what changes from trace to trace
        node.ClearField("experimental_debug_info")
        node.attr.pop("_user_specified_name", None)
    with tf.Graph().as_default() as imported:  # which writes down what attributes are by default
        tf.graph_util.import_graph_def(needed, name="")
    kept = {node.name: weights[node.name] for node in needed.node if node.name in weights}
    return Frozen(imported.as_graph_def(), inputs, list(concrete.outputs), kept)


def subgraph(graph: graph_pb2.GraphDef, names: Iterable[str]) -> graph_pb2.GraphDef:
    """The part of a graph that some nodes depend on, with them."""
    nodes = {node.name: node for node in graph.node}
    found, waiting = set(), list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [ref.lstrip("^").split(":")[0] for ref in nodes[name].input]
    kept = [node for node in graph.node if node.name in found]
    return graph_pb2.GraphDef(node=kept, versions=graph.versions, library=graph.library)


def _converted(concrete: Any, *, loops: bool, inline: bool) -> tuple[graph_pb2.GraphDef, Weights]:
    """As `convert_variables_to_constants_v2`, whose parts these are, but for large variables.

    Each becomes a placeholder in the place of the constant.
    """
    data = converter._FunctionConverterDataInEager(
        concrete, lower_control_flow=not loops, aggressive_inlining=inline
    )
    graph, weights = converter._GraphDef(data.graph_def), {}
    for name, found in data.tensor_data.items():
        variable = graph.nodes[name]
        if found.numpy.nbytes < LARGE or found.numpy.dtype.hasobject:  # which strings are
            variable.convert_variable_to_constant(None, found)
            continue
        weights[name] = found.numpy
        variable.converted_self().node.CopyFrom(_placeholder(name, found.numpy))
        for edge in variable.outgoing_edges:  # what takes a resource is told that it is a tensor
            edge.destination.convertible.convert_variable_to_constant(edge, found)
    return graph.converted_self().graph_def, weights


def _placeholder(name: str, value: np.ndarray[Any, Any]) -> Node:
    node = Node(name=name, op="Placeholder")
    node.attr["dtype"].type = tf.as_dtype(value.dtype).as_datatype_enum
    node.attr["shape"].shape.CopyFrom(tf.TensorShape(value.shape).as_proto())
    return node


def filled(
    graph: graph_pb2.GraphDef, weights: Mapping[str, np.ndarray[Any, Any]]
) -> graph_pb2.GraphDef:
    """A copy of a frozen graph, or of what was made of it, with its large weights as constants.

    Raises ExportError where protobuf cannot write so much.
    """
    size = sum(weights[node.name].nbytes for node in graph.node if node.name in weights)
    if size >= MOST:
        raise ExportError(
            f"its weights are {size / 1e9:.1f} GB, and TensorFlow cannot write a graph that holds "
            "2 GB: take another format, or a smaller model"
        )
    made = graph_pb2.GraphDef(versions=graph.versions, library=graph.library)
    for node in graph.node:
        if node.name not in weights:
            made.node.append(node)
            continue
        value = weights[node.name]
        constant = made.node.add(name=node.name, op="Const")
        constant.attr["dtype"].CopyFrom(node.attr["dtype"])
        constant.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value, shape=value.shape))
    return made


def input_names(concrete: Any) -> list[str]:
    """The signature's names of a function's inputs, in the order in which it takes them.

    Those by position come first. Of the others a loaded function says no order but in the
    placeholders' own names.
    """
    args, kwargs = concrete.structured_input_signature
    names = [spec.name for spec in tf.nest.flatten(args)]
    own = [tensor for tensor in concrete.inputs if tensor.dtype != tf.resource]
    by_key = {key: spec.name for key, spec in kwargs.items()}
    told = [
        tensor.op.node_def.attr["_user_specified_name"].s.decode()
        for tensor in own[len(names) : len(names) + len(kwargs)]
    ]
    keys = told if set(told) == set(by_key) else sorted(by_key)
    return [*names, *(by_key[key] for key in keys)]
