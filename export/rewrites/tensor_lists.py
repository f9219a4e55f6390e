"""Recurrent layers' lists of tensors with the size of one row, of which TFLite makes one tensor."""

from typing import Any

import tensorflow as tf
from tensorflow.core.framework import graph_pb2

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


def of_one_row(graph: graph_pb2.GraphDef) -> graph_pb2.GraphDef:
    """The graph with lists whose elements have one row where their first dimension was unknown.

    For a graph whose inputs have one row. That the unknown dimension is the batch is how recurrent
    layers are made (keras/src/backend/tensorflow/rnn.py); if it is not, the numbers show it.
    """
    for nodes in (graph.node, *(function.node_def for function in graph.library.function)):
        shapes = {
            node.input[_ELEMENT_SHAPE[node.op]].split(":")[0]
            for node in nodes
            if node.op in _ELEMENT_SHAPE
        }
        for node in nodes:
            if node.name in shapes and node.op == "Const":
                _fix(node.attr["value"].tensor)
    return graph


def _fix(tensor: Any) -> None:
    shape = tf.make_ndarray(tensor).copy()
    if shape.ndim == 1 and len(shape) and shape[0] == -1:
        shape[0] = 1
        tensor.CopyFrom(tf.make_tensor_proto(shape))
