"""A concrete function's graph with its variables as constants, and its tensors by their names."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import graph_pb2
from tensorflow.core.framework.node_def_pb2 import NodeDef as Node
from tensorflow.python.framework import convert_to_constants as converter

from portproof.bundle.errors import ExportError
from portproof.graphs import lookup_tables
from portproof.graphs.inlining import with_compiled_calls_inlined
from portproof.graphs.lookup_tables import is_resource, without_tables
from portproof.graphs.references import all_nodes, subgraph

Weights = dict[str, np.ndarray[Any, Any]]
# Bytes from which a variable is kept out of the graph. TensorFlow holds a graph some ten times
# while one is made of another.
LARGE = 1 << 20
# Bytes that a graph with its weights must stay below (protobuf.dev, "Proto Limits").
MAX_GRAPH = 1 << 31
_ASSIGNMENTS = frozenset({"AssignVariableOp", "AssignAddVariableOp", "AssignSubVariableOp"})


@dataclass(frozen=True)
class FrozenGraph:
    """A graph without variables and lookup tables.

    Attributes:
        graph: The graph. Small variables are constants in it, large ones placeholders.
        inputs: Its input tensors, by the signature's names.
        outputs: Its output tensors, in the order of the function's.
        weights: The values of the large variables, by the names of their placeholders;
            `with_weights` puts them back.
        notes: In words, what was written in other operations.
    """

    graph: graph_pb2.GraphDef
    inputs: dict[str, Any]
    outputs: list[Any]
    weights: Weights
    notes: tuple[str, ...] = ()


def freeze(concrete: Any, *, loops: bool = True, inline: bool = False) -> FrozenGraph:
    """Freeze a function of flat inputs.

    Args:
        concrete: The concrete function.
        loops: Whether loops stay functions (`While`), or become the older operations that TF.js
            runs (`Enter`, `Exit`).
        inline: Whether calls of functions are replaced by what they call.

    Raises ExportError where it draws random numbers, changes its own variables, or looks up in a
    table that cannot be written as constants.
    """
    original = concrete.graph.as_graph_def()
    try:
        graph, weights = _without_variables(concrete, loops=loops, inline=inline)
    except ValueError:  # the converter does not say what it is about
        _check_stateless(original, original)
        raise
    captured = {inner.op.name: outer for outer, inner in concrete.graph.captures}
    arguments = [tensor for tensor in concrete.inputs if tensor.op.name not in captured]
    inputs = dict(zip(input_names(concrete), arguments, strict=True))
    if inline:
        names = [tensor.op.name for tensor in (*concrete.inputs, *concrete.outputs)]
        graph = with_compiled_calls_inlined(graph, names)
    for node in graph.node:
        node.attr.pop("_class", None)  # where to be placed: beside nodes that may be gone
    plain = without_tables(graph, captured)
    notes = () if plain is graph else (lookup_tables.NOTE,)
    needed = subgraph(plain, [tensor.op.name for tensor in (*arguments, *concrete.outputs)])
    _check_stateless(original, needed)
    if table := next((node.name for node in needed.node if is_resource(node)), None):
        raise ExportError(
            f"it holds something that is no variable ({table}), as a table that it looks up in "
            "inside a loop: do that before the model, and give it what was found"
        )
    for node in needed.node:  # what changes from trace to trace
        node.ClearField("experimental_debug_info")
        node.attr.pop("_user_specified_name", None)
    with tf.Graph().as_default() as imported:  # which writes out the attributes' default values
        tf.graph_util.import_graph_def(needed, name="")
    kept = {node.name: weights[node.name] for node in needed.node if node.name in weights}
    return FrozenGraph(imported.as_graph_def(), inputs, list(concrete.outputs), kept, notes)


def _check_stateless(original: graph_pb2.GraphDef, needed: graph_pb2.GraphDef) -> None:
    """Raises ExportError where two calls on the same inputs may give different numbers.

    A generator that is seeded by a constant gives the same numbers each time; by a variable, which
    each call of `original` changes, others. What is not needed for an output is of no matter.
    """
    changing = any(node.op in _ASSIGNMENTS for node in all_nodes(original))
    for node in all_nodes(needed):
        if _draws(node.op) and (changing or not node.op.startswith("Stateless")):
            raise ExportError(
                f"it draws random numbers ({node.name}), which no two runtimes draw alike, nor "
                "two calls: export it as it computes at inference, or take them as an input"
            )
    if changed := next((node for node in all_nodes(needed) if node.op in _ASSIGNMENTS), None):
        raise ExportError(
            f"it changes its own variables ({changed.name}), so that a second call gives other "
            "numbers: take that state as an input, and return it as an output"
        )


def _draws(op: str) -> bool:
    return "Random" in op or op in ("TruncatedNormal", "Multinomial", "StatelessMultinomial")


def _without_variables(
    concrete: Any, *, loops: bool, inline: bool
) -> tuple[graph_pb2.GraphDef, Weights]:
    """As `convert_variables_to_constants_v2`, of whose parts this is made, but for large variables.

    Each of those becomes a placeholder instead of a constant.
    """
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("ERROR")  # it warns of the initializers of tables, which it drops
    try:
        data = converter._FunctionConverterDataInEager(
            concrete, lower_control_flow=not loops, aggressive_inlining=inline
        )
    finally:
        logger.setLevel(level)
    graph, weights = converter._GraphDef(data.graph_def), {}
    for name, tensor in data.tensor_data.items():
        variable = graph.nodes[name]
        value = tensor.numpy
        if value.nbytes < LARGE or value.dtype.hasobject:  # strings are objects
            variable.convert_variable_to_constant(None, tensor)
            continue
        weights[name] = value
        variable.converted_self().node.CopyFrom(_placeholder(name, value))
        for edge in variable.outgoing_edges:  # what takes a resource learns that it is a tensor
            edge.destination.convertible.convert_variable_to_constant(edge, tensor)
    return graph.converted_self().graph_def, weights


def _placeholder(name: str, value: np.ndarray[Any, Any]) -> Node:
    """A placeholder for a value, of its dtype and shape."""
    node = Node(name=name, op="Placeholder")
    node.attr["dtype"].type = tf.as_dtype(value.dtype).as_datatype_enum
    node.attr["shape"].shape.CopyFrom(tf.TensorShape(value.shape).as_proto())
    return node


def with_weights(
    graph: graph_pb2.GraphDef, weights: Mapping[str, np.ndarray[Any, Any]]
) -> graph_pb2.GraphDef:
    """A copy of a frozen graph, or of what was made of it, with its large weights as constants.

    Raises ExportError where they are more than protobuf can write.
    """
    size = sum(weights[node.name].nbytes for node in graph.node if node.name in weights)
    if size >= MAX_GRAPH:
        raise ExportError(
            f"its weights are {size / 1e9:.1f} GB, and TensorFlow cannot write a graph that holds "
            "2 GB: take another format, or a smaller model"
        )
    result = graph_pb2.GraphDef(versions=graph.versions, library=graph.library)
    for node in graph.node:
        if node.name not in weights:
            result.node.append(node)
            continue
        value = weights[node.name]
        constant = result.node.add(name=node.name, op="Const")
        constant.attr["dtype"].CopyFrom(node.attr["dtype"])
        constant.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value, shape=value.shape))
    return result


def input_names(concrete: Any) -> list[str]:
    """The signature's names of a function's inputs, in the order in which it takes them.

    Positional arguments come first. The order of a loaded function's keyword arguments is recorded
    only in the names of its placeholders.
    """
    args, kwargs = concrete.structured_input_signature
    positional = [spec.name for spec in tf.nest.flatten(args)]
    arguments = [tensor for tensor in concrete.inputs if tensor.dtype != tf.resource]
    recorded = [
        tensor.op.node_def.attr["_user_specified_name"].s.decode()
        for tensor in arguments[len(positional) : len(positional) + len(kwargs)]
    ]
    return [*positional, *(recorded if set(recorded) == set(kwargs) else sorted(kwargs))]
