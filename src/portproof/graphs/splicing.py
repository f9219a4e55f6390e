"""Nodes of a frozen graph written in other operations, in place."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import graph_pb2
from tensorflow.core.framework.node_def_pb2 import NodeDef as Node

from portproof.graphs.references import data_inputs, node_name, tensor_name

Tensor = Any
# The node and its inputs -> its outputs in other operations, or None to leave it as it is.
Rewrite = Callable[[Node, Sequence[Tensor]], Tensor | list[Tensor] | None]

# The most dimensions that a tensor of TensorFlow has (tensorflow/core/framework/tensor_shape.h).
_MAX_RANK = 254


def spliced(graph: graph_pb2.GraphDef, rewrites: Mapping[str, Rewrite]) -> graph_pb2.GraphDef:
    """A copy of a graph in which the nodes of some ops are computed by other ops.

    A rewrite is called with placeholders of the dtypes and shapes that TensorFlow infers for the
    node's inputs, and with constants for shapes and axes that it knows. Its result takes the
    node's name, so that nothing else changes. Nodes inside library functions are left alone.
    """
    if not any(node.op in rewrites for node in graph.node):
        return graph
    imported = tf.Graph()
    with imported.as_default():
        tf.graph_util.import_graph_def(graph, name="")
    has_loops = any(node.op == "Enter" for node in graph.node)
    result = graph_pb2.GraphDef(versions=graph.versions, library=graph.library)
    for node in graph.node:
        rewrite = rewrites.get(node.op)
        nodes = _replacement(imported, node, rewrite, has_loops) if rewrite else None
        result.node.extend([node] if nodes is None else nodes)
    return result


def _replacement(imported: Any, node: Node, rewrite: Rewrite, has_loops: bool) -> list[Node] | None:
    """The nodes that replace one, the last of which has its name."""
    refs = data_inputs(node)
    with tf.Graph().as_default() as graph:
        inputs = [
            _stand_in(imported, imported.get_tensor_by_name(tensor_name(ref)), f"outer_{n}")
            for n, ref in enumerate(refs)
        ]
        outputs = rewrite(node, inputs)
        if outputs is None:
            return None
        last = tf.identity_n(outputs) if isinstance(outputs, list) else tf.identity(outputs)
        end = (last[0] if isinstance(last, list) else last).op.name
    outer = {f"outer_{n}": ref for n, ref in enumerate(refs)}
    nodes = []
    for inner in graph.as_graph_def().node:
        if inner.name in outer:
            continue
        inner.input[:] = [_in_outer_graph(ref, outer, node.name, end) for ref in inner.input]
        if inner.op == "Const" and has_loops and refs:
            # A constant is outside every loop, unless it waits for something inside.
            inner.input.append("^" + node_name(refs[0]))
        inner.name = node.name if inner.name == end else f"{node.name}/{inner.name}"
        inner.device = node.device
        nodes.append(inner)
    return sorted(nodes, key=lambda inner: inner.name == node.name)


def _stand_in(imported: Any, tensor: Any, name: str) -> Tensor:
    """A constant for an input that is a known shape or the like, else a placeholder."""
    value = None
    if tensor.dtype in (tf.int32, tf.int64) and tensor.shape.rank in (0, 1):
        value = tf.get_static_value(tensor)
        if value is None and tensor.shape.rank == 1 and tensor.shape.is_fully_defined():
            # TensorFlow computes more of it when it infers a shape than it folds in Python.
            with imported.as_default():
                sizes = tf.cast(tensor, tf.int32)  # which is all that `Empty` takes
                shape = tf.raw_ops.Empty(shape=sizes, dtype=tf.bool).shape
            value = np.array(shape.as_list()) if shape.is_fully_defined() else None
    if value is not None and value.size <= _MAX_RANK:
        return tf.constant(value, tensor.dtype, name=f"value_of_{name}")
    return tf.compat.v1.placeholder(tensor.dtype, tensor.shape, name)


def _in_outer_graph(ref: str, outer: Mapping[str, str], name: str, end: str) -> str:
    """A reference inside the replacement, as one of the graph that it is put into."""
    wait, plain = ref[: ref.startswith("^")], ref.lstrip("^")
    inner = node_name(plain)
    if inner in outer:
        return wait + (node_name(outer[inner]) if wait else outer[inner])
    return wait + (name if inner == end else f"{name}/{plain}")
