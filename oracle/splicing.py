"""Nodes of a frozen graph written in other operations, in place."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import graph_pb2, node_def_pb2

Tensor = Any
# The node and its inputs -> what it makes, or None to leave the node as it is.
Rewrite = Callable[[node_def_pb2.NodeDef, Sequence[Tensor]], Tensor | list[Tensor] | None]


def spliced(graph: graph_pb2.GraphDef, rewrites: Mapping[str, Rewrite]) -> graph_pb2.GraphDef:
    """A copy of a graph in which the nodes of some ops are computed by others.

    A rewrite is called with placeholders of the dtypes and shapes that TensorFlow infers for the
    node's inputs, and with constants for shapes and axes that it knows. What it makes takes the
    node's name, so that nothing else changes. Nodes inside library functions are left alone.
    """
    if not any(node.op in rewrites for node in graph.node):
        return graph
    known = tf.Graph()
    with known.as_default():
        tf.graph_util.import_graph_def(graph, name="")
    loops = any(node.op == "Enter" for node in graph.node)
    result = graph_pb2.GraphDef(versions=graph.versions, library=graph.library)
    for node in graph.node:
        rewrite = rewrites.get(node.op)
        made = _made(known, node, rewrite, loops) if rewrite else None
        result.node.extend([node] if made is None else made)
    return result


def _made(
    known: Any, node: node_def_pb2.NodeDef, rewrite: Rewrite, loops: bool
) -> list[node_def_pb2.NodeDef] | None:
    """The nodes in the place of one, the last of which has its name."""
    data = [ref for ref in node.input if not ref.startswith("^")]
    with tf.Graph().as_default() as graph:
        given = []
        for n, ref in enumerate(data):
            tensor = known.get_tensor_by_name(ref if ":" in ref else f"{ref}:0")
            given.append(_given(known, tensor, f"given_{n}"))
        outputs = rewrite(node, given)
        if outputs is None:
            return None
        last = tf.identity_n(outputs) if isinstance(outputs, list) else tf.identity(outputs)
        end = (last[0] if isinstance(last, list) else last).op.name
    inputs = {f"given_{n}": ref for n, ref in enumerate(data)}
    nodes = []
    for inner in graph.as_graph_def().node:
        if inner.name in inputs:
            continue
        inner.input[:] = [_outer(ref, inputs, node.name, end) for ref in inner.input]
        if inner.op == "Const" and loops and data:
            # A constant is outside every loop, unless it waits for something inside.
            inner.input.append("^" + data[0].split(":")[0])
        inner.name = node.name if inner.name == end else f"{node.name}/{inner.name}"
        inner.device = node.device
        nodes.append(inner)
    return sorted(nodes, key=lambda inner: inner.name == node.name)


def _given(known: Any, tensor: Any, name: str) -> Tensor:
    """What stands for an input: its value where that is a shape or the like, else a placeholder."""
    value = None
    if tensor.dtype in (tf.int32, tf.int64) and tensor.shape.rank in (0, 1):
        value = tf.get_static_value(tensor)
        if value is None and tensor.shape.rank == 1 and tensor.shape.is_fully_defined():
            # What TensorFlow computes when it infers a shape is more than it folds in Python.
            with known.as_default():
                shape = tf.raw_ops.Empty(shape=tensor, dtype=tf.bool).shape
            value = np.array(shape.as_list()) if shape.is_fully_defined() else None
    if value is not None and value.size <= _SHAPE:
        return tf.constant(value, tensor.dtype, name=f"value_of_{name}")
    return tf.compat.v1.placeholder(tensor.dtype, tensor.shape, name)


# The most dimensions that a tensor of TensorFlow has (tensorflow/core/framework/tensor_shape.h).
_SHAPE = 254


def _outer(ref: str, inputs: Mapping[str, str], name: str, end: str) -> str:
    wait, plain = ref[: ref.startswith("^")], ref.lstrip("^")
    inner = plain.split(":")[0]
    if inner in inputs:
        return wait + (inputs[inner].split(":")[0] if wait else inputs[inner])
    return wait + (name if inner == end else f"{name}/{plain}")
