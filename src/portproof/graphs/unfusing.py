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
    """The product, the sum and the activation, the last of which has the node's name."""
    first, *activations = (op.decode() for op in node.attr["fused_ops"].list.s)
    product_op, attrs = _PRODUCTS[node.op]
    product = Node(name=f"{node.name}/product", op=product_op, input=node.input[:2])
    for name in attrs:
        product.attr[name].CopyFrom(node.attr[name])
    nodes = [product]
    for fused in (first, *activations):
        bias = [node.input[2]] if fused == first else []
        op = "AddV2" if fused == "BiasAdd" else fused
        part = Node(name=f"{node.name}/{fused}", op=op, input=[nodes[-1].name, *bias])
        part.attr["T"].CopyFrom(node.attr["T"])
        if op == "LeakyRelu":
            part.attr["alpha"].CopyFrom(node.attr["leakyrelu_alpha"])
        nodes.append(part)
    nodes[-1].name = node.name
    return nodes
