"""The oracle: the original's graph, computed in float64."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import attr_value_pb2, graph_pb2, node_def_pb2, types_pb2
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from bundle.tensors import Arrays

_RAISED = {types_pb2.DT_FLOAT, types_pb2.DT_HALF, types_pb2.DT_BFLOAT16}


class Oracle:
    """A signature's graph with its weights, every float raised to float64.

    The graph is frozen (`convert_variables_to_constants_v2`), and in its nodes and its library
    functions every type attribute and constant that is float32, float16 or bfloat16 becomes
    float64. The values of the weights stay what they are: float64 holds each exactly.
    """

    def __init__(self, concrete: Any) -> None:
        args, kwargs = concrete.structured_input_signature
        frozen = convert_variables_to_constants_v2(concrete, lower_control_flow=False)
        specs = [*args, *kwargs.values()]
        self._feeds = {
            spec.name: tensor.name for spec, tensor in zip(specs, frozen.inputs, strict=True)
        }
        names = [tensor.name for tensor in frozen.outputs]
        self._fetches = tf.nest.pack_sequence_as(concrete.structured_outputs, names)
        self._graph = tf.Graph()
        with self._graph.as_default():
            tf.graph_util.import_graph_def(raised(frozen.graph.as_graph_def()), name="")
        self._session = tf.compat.v1.Session(graph=self._graph)

    def __call__(self, inputs: Mapping[str, np.ndarray[Any, Any]]) -> Any:
        """The outputs in the structure of the original, floats as float64 arrays."""
        feed = {self._feeds[name]: widened(array) for name, array in inputs.items()}
        return self._session.run(self._fetches, feed)


def widened(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A float array as float64, any other as it is. NumPy calls bfloat16 a void kind."""
    return array.astype(np.float64) if array.dtype.kind in "fV" else array


def floats(outputs: Arrays) -> Arrays:
    """Those outputs for which an oracle means something: integers must be exact without one."""
    return {name: array for name, array in outputs.items() if array.dtype == np.float64}


def raised(graph: graph_pb2.GraphDef) -> graph_pb2.GraphDef:
    """A copy of a frozen graph that computes in float64."""
    graph = graph_pb2.GraphDef.FromString(graph.SerializeToString())
    for node in graph.node:
        _raise_node(node)
    for function in graph.library.function:
        for arg in (*function.signature.input_arg, *function.signature.output_arg):
            if arg.type in _RAISED:
                arg.type = types_pb2.DT_DOUBLE
        for node in function.node_def:
            _raise_node(node)
    return graph


def _raise_node(node: node_def_pb2.NodeDef) -> None:
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
        value = tf.make_ndarray(attr.tensor).astype(np.float64)
        attr.tensor.CopyFrom(tf.make_tensor_proto(value, shape=value.shape))
