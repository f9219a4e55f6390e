"""A frozen graph, raised to float64."""

from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import attr_value_pb2, graph_pb2, node_def_pb2, types_pb2

_COMPILED = "_XlaMustCompile"
_RAISED = {types_pb2.DT_FLOAT, types_pb2.DT_HALF, types_pb2.DT_BFLOAT16}


def raised(graph: graph_pb2.GraphDef) -> graph_pb2.GraphDef:
    """A copy of a frozen graph that computes in float64.

    In its nodes and its library functions every type attribute and constant that is float32,
    float16 or bfloat16 becomes float64. The values of the weights stay what they are: float64
    holds each exactly. Nothing is left to be compiled by XLA, which takes no functions with state.
    """
    graph = graph_pb2.GraphDef.FromString(graph.SerializeToString())
    for node in graph.node:
        _raise_node(node)
    for function in graph.library.function:
        function.attr.pop(_COMPILED, None)
        for arg in (*function.signature.input_arg, *function.signature.output_arg):
            if arg.type in _RAISED:
                arg.type = types_pb2.DT_DOUBLE
        for node in function.node_def:
            _raise_node(node)
    return graph


def widened(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A float array as float64, any other as it is. NumPy calls bfloat16 a void kind."""
    if array.dtype.kind not in "fV":
        return array
    with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one
        return array.astype(np.float64)


def _raise_node(node: node_def_pb2.NodeDef) -> None:
    node.attr.pop(_COMPILED, None)
    for attr in node.attr.values():
        _raise_attr(attr)


def _raise_attr(attr: attr_value_pb2.AttrValue) -> None:
    kind = attr.WhichOneof("value")
    if kind == "type" and attr.type in _RAISED:
        attr.type = types_pb2.DT_DOUBLE
    elif kind == "list":
        for n, item in enumerate(attr.list.type):
            if item in _RAISED:
                attr.list.type[n] = types_pb2.DT_DOUBLE
    elif kind == "tensor" and attr.tensor.dtype in _RAISED:
        with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one
            value = tf.make_ndarray(attr.tensor).astype(np.float64)
        attr.tensor.CopyFrom(tf.make_tensor_proto(value, shape=value.shape))
