"""Nodes of a graph, made by hand."""

import tensorflow as tf
from tensorflow.core.framework.node_def_pb2 import NodeDef as Node


def constant(name: str, value: object, dtype: tf.DType) -> Node:
    """A `Const` of a value: a number, an array or nested lists."""
    node = node_of(name, "Const", [], dtype=dtype)
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value, dtype))
    return node


def node_of(name: str, op: str, inputs: list[str], **types: tf.DType) -> Node:
    """A node whose attributes are dtypes."""
    node = Node(name=name, op=op, input=inputs)
    for attr, dtype in types.items():
        node.attr[attr].type = dtype.as_datatype_enum
    return node
