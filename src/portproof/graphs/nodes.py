"""Nodes of a graph, made by hand."""

import tensorflow as tf
from tensorflow.core.framework.node_def_pb2 import NodeDef as Node


def constant(name: str, value: object, dtype: tf.DType) -> Node:
    """A `Const` of a value: a number, an array or nested lists."""
    node = typed_node(name, "Const", [], dtype=dtype)
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value, dtype))
    return node


def typed_node(name: str, op: str, inputs: list[str], **dtypes: tf.DType) -> Node:
    """A node whose attributes are dtypes, such as `T=tf.float32`."""
    node = Node(name=name, op=op, input=inputs)
    for attr, dtype in dtypes.items():
        node.attr[attr].type = dtype.as_datatype_enum
    return node
