"""Lists of tensors in recurrent layers, sized for one row, for which TFLite has an op."""

from typing import Any

import tensorflow as tf
from tensorflow.core.framework import graph_pb2

from portproof.graphs.references import node_name

NOTE = "the lists of tensors in a recurrent layer's loop sized for one row"
# Which input of an op is the shape of a list's elements.
_ELEMENT_SHAPE = {
    "TensorListReserve": 0,
    "EmptyTensorList": 0,
    "TensorListStack": 1,
    "TensorListFromTensor": 1,
    "TensorListGetItem": 2,
    "TensorListGather": 2,
}


def sized_for_one_row(graph: graph_pb2.GraphDef) -> graph_pb2.GraphDef:
    """The graph, its lists' elements with one row where their first dimension was unknown.

    For a graph whose inputs have one row. That the unknown dimension is the batch follows from how
    recurrent layers are made (keras/src/backend/tensorflow/rnn.py); where it does not hold, the
    numbers show it.
    """
    for nodes in (graph.node, *(function.node_def for function in graph.library.function)):
        shapes = {
            node_name(node.input[_ELEMENT_SHAPE[node.op]])
            for node in nodes
            if node.op in _ELEMENT_SHAPE
        }
        for node in nodes:
            if node.name in shapes and node.op == "Const":
                _set_one_row(node.attr["value"].tensor)
    return graph


def _set_one_row(tensor: Any) -> None:
    shape = tf.make_ndarray(tensor).copy()
    if shape.ndim == 1 and len(shape) and shape[0] == -1:
        shape[0] = 1
        tensor.CopyFrom(tf.make_tensor_proto(shape))
