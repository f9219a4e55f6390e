"""Fused operations that some TF.js backend cannot compute, taken apart again."""

import tensorflow as tf
from tensorflow.core.framework import graph_pb2
from tensorflow.core.framework.node_def_pb2 import NodeDef as Node

from portproof.graphs.nodes import constant, typed_node

# Activations that every backend fuses (tfjs-core/src/ops/fused_types.ts, less what WebGL and WASM
# refuse).
_ACTIVATIONS = {b"Relu", b"Relu6", b"Elu", b"Prelu", b"LeakyRelu", b"Sigmoid"}
_PRODUCTS = {
    "_FusedMatMul": ("MatMul", ("T", "transpose_a", "transpose_b")),
    "_FusedConv2D": (
        "Conv2D",
        ("T", "strides", "padding", "explicit_paddings", "data_format", "dilations"),
    ),
}

# The inputs that a fused operation adds, where it adds any, and the operation that it is alone.
_ARGUMENTS = {"BiasAdd": 1, "Prelu": 1, "FusedBatchNorm": 4}
_OPS = {"BiasAdd": "AddV2", "FusedBatchNorm": "FusedBatchNormV3"}


def unfused(graph: graph_pb2.GraphDef) -> graph_pb2.GraphDef:
    """A copy in which a fused operation is several again where a backend would refuse it.

    WebGL has no fused tanh, WASM takes no bias but a vector, and none has `_FusedHardSwish`, which
    TensorFlow's own optimizer makes of x * relu6(x + 3) / 6 (core/grappler/optimizers/remapper.cc).
    """
    constants = {node.name: node for node in graph.node if node.op == "Const"}
    result = graph_pb2.GraphDef(versions=graph.versions, library=graph.library)
    for node in graph.node:
        take_apart = node.op in _PRODUCTS and not _every_backend_has(node, constants)
        for part in _parts(node) if take_apart else [node]:
            result.node.extend(_hard_swish(part) if part.op == "_FusedHardSwish" else [part])
    return result


def _hard_swish(node: Node) -> list[Node]:
    x, dtype = node.input[0], tf.as_dtype(node.attr["T"].type)
    name = f"{node.name}/unfused"
    return [
        three := constant(f"{name}_3", 3.0, dtype),
        sixth := constant(f"{name}_6th", 1 / 6, dtype),
        total := typed_node(f"{name}_sum", "AddV2", [x, three.name], T=dtype),
        relu6 := typed_node(f"{name}_relu6", "Relu6", [total.name], T=dtype),
        scaled := typed_node(f"{name}_scaled", "Mul", [relu6.name, sixth.name], T=dtype),
        typed_node(node.name, "Mul", [x, scaled.name], T=dtype),
    ]


def _every_backend_has(node: Node, constants: dict[str, Node]) -> bool:
    first, *activation = node.attr["fused_ops"].list.s
    if first != b"BiasAdd" or not set(activation) <= _ACTIVATIONS:
        return False
    bias = constants.get(node.input[2])
    return bias is not None and len(bias.attr["value"].tensor.tensor_shape.dim) == 1


def _parts(node: Node) -> list[Node]:
    """The product and each operation that was fused into it; the last has the node's name."""
    fused_ops = [op.decode() for op in node.attr["fused_ops"].list.s]
    product_op, attrs = _PRODUCTS[node.op]
    product = Node(name=f"{node.name}/product", op=product_op, input=node.input[:2])
    for name in attrs:
        product.attr[name].CopyFrom(node.attr[name])
    nodes = [product]
    arguments = list(node.input[2:])
    for fused in fused_ops:
        count = _ARGUMENTS.get(fused, 0)
        part = Node(name=f"{node.name}/{fused}", op=_OPS.get(fused, fused))
        part.input.extend([nodes[-1].name, *arguments[:count]])
        del arguments[:count]
        part.attr["T"].CopyFrom(node.attr["T"])
        if fused == "LeakyRelu":
            part.attr["alpha"].CopyFrom(node.attr["leakyrelu_alpha"])
        if fused == "FusedBatchNorm":  # with its statistics: only inference is ever fused
            part.attr["U"].type = tf.float32.as_datatype_enum
            part.attr["is_training"].b = False
            for name in ("epsilon", "data_format"):
                part.attr[name].CopyFrom(node.attr[name])
        nodes.append(part)
    nodes[-1].name = node.name
    return nodes
