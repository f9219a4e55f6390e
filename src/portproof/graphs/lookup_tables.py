"""Lookup tables as constants, for runtimes that have no tables."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import graph_pb2, types_pb2
from tensorflow.core.framework.node_def_pb2 import NodeDef as Node

from portproof.bundle.errors import ExportError
from portproof.graphs.references import data_inputs, node_name
from portproof.graphs.splicing import Tensor, spliced

# Each value that is looked up is compared with every key.
MAX_KEYS = 1 << 16
NOTE = "lookup tables by comparisons with each of their keys"
LOOKUP = "LookupTableFindV2"

_Array = np.ndarray[Any, Any]


def without_tables(graph: graph_pb2.GraphDef, handles: Mapping[str, Any]) -> graph_pb2.GraphDef:
    """A copy of a frozen graph in which a lookup is a comparison with all keys of its table.

    Args:
        graph: The graph, its calls of functions inlined.
        handles: The captured resources of the function, by the names of their placeholders.

    Raises ExportError where a table has too many keys for that.
    """
    nodes = {node.name: node for node in graph.node}
    tables: dict[str, tuple[_Array, _Array]] = {}
    for node in graph.node:
        if node.op == LOOKUP and (name := _origin(data_inputs(node)[0], nodes)) in handles:
            tables[node.name] = _content(node, handles[name])
    if not tables:
        return graph
    for node in graph.node:  # nothing is to wait for a table that is gone
        kept = [ref for ref in node.input if not ref.startswith("^") or not _is_table(ref, nodes)]
        node.input[:] = kept

    def found(node: Node, inputs: Sequence[Tensor]) -> Tensor | None:
        if node.name not in tables:
            return None
        _, x, default = inputs
        return _looked_up(x, default, *tables[node.name])

    return spliced(graph, {LOOKUP: found})


def _origin(ref: str, nodes: Mapping[str, Node]) -> str:
    """The name of the node that makes what a reference is of, past what only hands it on."""
    name = node_name(ref)
    while nodes[name].op == "Identity":
        name = node_name(data_inputs(nodes[name])[0])
    return name


def _is_table(ref: str, nodes: Mapping[str, Node]) -> bool:
    return is_resource(nodes[_origin(ref, nodes)])


def is_resource(node: Node) -> bool:
    """Whether a node stands for a captured resource."""
    return bool(node.op == "Placeholder" and node.attr["dtype"].type == types_pb2.DT_RESOURCE)


def _content(lookup: Node, handle: Any) -> tuple[_Array, _Array]:
    """The keys and the values of a table, by key, so that they are the same at every export."""
    keys, values = tf.raw_ops.LookupTableExportV2(
        table_handle=handle,
        Tkeys=tf.as_dtype(lookup.attr["Tin"].type),
        Tvalues=tf.as_dtype(lookup.attr["Tout"].type),
    )
    if len(keys) > MAX_KEYS:
        raise ExportError(
            f"it looks up in a table of {len(keys):,} keys ({lookup.name}), which is written as "
            f"comparisons with each, and {MAX_KEYS:,} are the most: look the keys up before the "
            "model, and give it what they stand for"
        )
    order = np.argsort(keys.numpy(), kind="stable")
    return keys.numpy()[order], values.numpy()[order]


def _looked_up(x: Tensor, default: Tensor, keys: _Array, values: _Array) -> Tensor:
    if not len(keys):
        return tf.fill(tf.shape(x), default)
    equal = tf.equal(x[..., tf.newaxis], tf.constant(keys))
    at = tf.argmax(tf.cast(equal, tf.int32), axis=-1, output_type=tf.int32)
    value = tf.gather(tf.constant(values), at)
    return tf.where(tf.reduce_any(equal, axis=-1), value, default)
