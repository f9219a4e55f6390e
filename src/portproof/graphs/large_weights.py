"""The large weights of a frozen graph, as variables of the sessions that compute it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import graph_pb2
from tensorflow.core.framework.node_def_pb2 import NodeDef as Node

_HANDLE = "/variable"


def as_variables(
    graph: graph_pb2.GraphDef, weights: Mapping[str, np.ndarray[Any, Any]]
) -> graph_pb2.GraphDef:
    """A copy of a frozen graph that reads its large weights from variables, by the same names."""
    result = graph_pb2.GraphDef(versions=graph.versions, library=graph.library)
    for node in graph.node:
        result.node.extend(_reads_variable(node) if node.name in weights else [node])
    return result


def _reads_variable(placeholder: Node) -> list[Node]:
    handle = Node(name=placeholder.name + _HANDLE, op="VarHandleOp")
    handle.attr["shared_name"].s = handle.name.encode()
    handle.attr["container"].s = b""
    read = Node(name=placeholder.name, op="ReadVariableOp", input=[handle.name])
    for node in (handle, read):
        node.attr["dtype"].CopyFrom(placeholder.attr["dtype"])
    handle.attr["shape"].CopyFrom(placeholder.attr["shape"])
    return [handle, read]


def assign(session: Any, weights: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Give a session's variables their values, in the dtypes that its graph has."""
    for name, value in weights.items():
        with session.graph.as_default():
            dtype = session.graph.get_tensor_by_name(f"{name}:0").dtype
            placeholder = tf.compat.v1.placeholder(dtype, value.shape)
            handle = session.graph.get_tensor_by_name(f"{name}{_HANDLE}:0")
            assigned = tf.raw_ops.AssignVariableOp(resource=handle, value=placeholder)
        session.run(assigned, {placeholder: value.astype(dtype.as_numpy_dtype, copy=False)})
