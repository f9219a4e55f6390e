"""A frozen graph, raised to float64."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import attr_value_pb2, graph_pb2, types_pb2
from tensorflow.core.framework.node_def_pb2 import NodeDef as Node
from tensorflow.python.framework import kernels, op_def_registry

from portproof.graphs.references import copied

_MUST_COMPILE = "_XlaMustCompile"
_RAISED = {
    types_pb2.DT_FLOAT: types_pb2.DT_DOUBLE,
    types_pb2.DT_HALF: types_pb2.DT_DOUBLE,
    types_pb2.DT_BFLOAT16: types_pb2.DT_DOUBLE,
    types_pb2.DT_COMPLEX64: types_pb2.DT_COMPLEX128,
}
_NUMPY = {types_pb2.DT_DOUBLE: np.float64, types_pb2.DT_COMPLEX128: np.complex128}


def raised(graph: graph_pb2.GraphDef) -> graph_pb2.GraphDef:
    """A copy of a frozen graph that computes in float64.

    In its nodes and its library functions every type attribute and constant that is float32,
    float16 or bfloat16 becomes float64 (and complex64 complex128). The values of the weights do not
    change: float64 holds each exactly. XLA compiles nothing of it, because it takes no functions
    with state. An op that TensorFlow has in float32 only stays so, between conversions
    (`float32_only_ops` names them); `oracle.lowering` writes some of those in other ops before.
    """
    result = graph_pb2.GraphDef(versions=graph.versions, library=graph.library)
    for node in graph.node:
        result.node.extend(_raised_node(node))
    for function in result.library.function:
        function.attr.pop(_MUST_COMPILE, None)
        for arg in (*function.signature.input_arg, *function.signature.output_arg):
            arg.type = _RAISED.get(arg.type, arg.type)
        for node in function.node_def:
            _raise_attrs(node)
    return result


def float32_only_ops(graph: graph_pb2.GraphDef) -> tuple[str, ...]:
    """The ops of a frozen graph that have no float64 form, and keep float32's rounding."""
    return tuple(sorted({node.op for node in graph.node if is_float32_only(node)}))


def is_float32_only(node: Node) -> bool:
    """Whether an op takes or makes floats, and TensorFlow has it for the CPU in float32 only."""
    definition = op_def_registry.get(node.op)
    if definition is None:
        return False
    if node.op == "Bitcast":  # a float of another size would be another number of integers
        return any(node.attr[name].type in _RAISED for name in ("T", "type"))
    args = (*definition.input_arg, *definition.output_arg)
    if any(arg.type == types_pb2.DT_FLOAT for arg in args):
        return True
    attrs = {arg.type_attr for arg in args if arg.type_attr}
    dtypes = {name: node.attr[name].type for name in attrs}
    return any(
        dtype in _RAISED and not _has_raised_kernel(node.op, name, dtype)
        for name, dtype in dtypes.items()
    )


@cache
def _has_raised_kernel(op: str, attr: str, dtype: int) -> bool:
    """Whether the CPU has a kernel of this op for the raised form of a dtype."""
    registered: Any = kernels.get_registered_kernels_for_op(op)
    for kernel in registered.kernel:
        allowed = [
            value
            for constraint in kernel.constraint
            if constraint.name == attr
            for value in constraint.allowed_values.list.type
        ]
        if kernel.device_type == "CPU" and (not allowed or _RAISED[dtype] in allowed):
            return True
    return not registered.kernel  # a call, or what is never run


def widened(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A float array as float64, any other as it is. NumPy calls bfloat16 a void kind."""
    if array.dtype.kind not in "fV":
        return array
    with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one
        return array.astype(np.float64)


def _raised_node(original: Node) -> Iterator[Node]:
    node = copied(original)
    if is_float32_only(node):
        yield from _between_conversions(node)
        return
    _raise_attrs(node)
    yield node


def _between_conversions(node: Node) -> Iterator[Node]:
    """The node as it is, taking and giving float64."""
    name, definition = node.name, op_def_registry.get(node.op)
    node.name = f"{name}/float32"
    for n, dtype in enumerate(_dtypes(node, definition.input_arg)):
        if dtype in _RAISED:
            cast = _cast(f"{name}/given_{n}", node.input[n], _RAISED[dtype], dtype)
            node.input[n] = cast.name
            yield cast
    yield node
    outputs = []
    for n, dtype in enumerate(_dtypes(node, definition.output_arg)):
        ref = f"{node.name}:{n}" if n else node.name
        if dtype in _RAISED:
            cast = _cast(f"{name}/made_{n}", ref, dtype, _RAISED[dtype])
            ref, dtype = cast.name, _RAISED[dtype]
            yield cast
        outputs.append((ref, dtype))
    last = Node(name=name, op="IdentityN", input=[ref for ref, _ in outputs])
    last.attr["T"].list.type.extend(dtype for _, dtype in outputs)
    yield last


def _dtypes(node: Node, args: Any) -> Iterator[int]:
    """The dtype of each input or output, as the op's definition says."""
    for arg in args:
        if arg.type_list_attr:
            yield from node.attr[arg.type_list_attr].list.type
            continue
        dtype = node.attr[arg.type_attr].type if arg.type_attr else arg.type
        yield from [dtype] * (node.attr[arg.number_attr].i if arg.number_attr else 1)


def input_dtypes(node: Node) -> Iterator[int]:
    """The dtype of each data input."""
    return _dtypes(node, op_def_registry.get(node.op).input_arg)


def _cast(name: str, ref: str, source: int, target: int) -> Node:
    cast = Node(name=name, op="Cast", input=[ref])
    cast.attr["SrcT"].type, cast.attr["DstT"].type = source, target
    return cast


def _raise_attrs(node: Node) -> None:
    node.attr.pop(_MUST_COMPILE, None)
    for attr in node.attr.values():
        _raise_attr(attr)


def _raise_attr(attr: attr_value_pb2.AttrValue) -> None:
    kind = attr.WhichOneof("value")
    if kind == "type":
        attr.type = _RAISED.get(attr.type, attr.type)
    elif kind == "list":
        for n, item in enumerate(attr.list.type):
            attr.list.type[n] = _RAISED.get(item, item)
    elif kind == "tensor" and attr.tensor.dtype in _RAISED:
        dtype = _NUMPY[_RAISED[attr.tensor.dtype]]
        with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one
            value = tf.make_ndarray(attr.tensor).astype(dtype)
        attr.tensor.CopyFrom(tf.make_tensor_proto(value, shape=value.shape))
