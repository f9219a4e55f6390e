"""Operations that TF.js has as one, fused from the several that TensorFlow has.

TensorFlow's own optimizer fuses a bias and an activation into matrix products and convolutions. It
knows neither PReLU nor depthwise convolutions. A fused node takes the name of the last of its
parts, whose value it computes. A part whose value something else needs is not fused away.
"""

import math
from collections import Counter
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import graph_pb2
from tensorflow.core.framework.node_def_pb2 import NodeDef as Node

from portproof.graphs.nodes import constant
from portproof.graphs.references import copied, data_inputs, node_name, subgraph

_CONVOLUTIONS = ("Conv2D", "DepthwiseConv2dNative")
_SUMS = ("Add", "AddV2", "BiasAdd")
_FUSED_DEPTHWISE = "FusedDepthwiseConv2dNative"
# Activations that TF.js fuses into a depthwise convolution.
_ACTIVATIONS = ("Relu", "Relu6", "Elu")


class _Graph:
    """A graph's nodes by name, and how many nodes need each."""

    def __init__(self, graph: graph_pb2.GraphDef, outputs: Collection[str]) -> None:
        self.nodes = {node.name: node for node in graph.node}
        self._consumers = Counter(node_name(ref) for node in graph.node for ref in node.input)
        self._consumers.update(outputs)
        self._refs = {ref for node in graph.node for ref in node.input}

    def input(self, node: Node, position: int) -> Node:
        """The node that an input comes from."""
        return self.nodes[node_name(node.input[position])]

    def is_needed_once(self, node: Node) -> bool:
        return self._consumers[node.name] == 1

    def is_first_output_only(self, node: Node) -> bool:
        """Whether no other output of a node is used than its first."""
        return not any(f"{node.name}:{n}" in self._refs for n in range(1, 6))

    def array(self, node: Node) -> np.ndarray[Any, Any] | None:
        """The value of a constant; None for any other node."""
        return tf.make_ndarray(node.attr["value"].tensor) if node.op == "Const" else None


# A node and its graph -> the nodes in its place, the last of which has its name; None to keep it.
Pattern = Callable[[Node, _Graph], list[Node] | None]


def replaced(
    graph: graph_pb2.GraphDef, outputs: Collection[str], pattern: Pattern
) -> graph_pb2.GraphDef:
    """A copy of a graph with a pattern applied to each node, without the nodes that became unused.

    Args:
        graph: The graph.
        outputs: The names of the nodes that are the graph's outputs.
        pattern: One of this module.
    """
    index = _Graph(graph, outputs)
    result = graph_pb2.GraphDef(versions=graph.versions, library=graph.library)
    for node in graph.node:
        result.node.extend(pattern(node, index) or [node])
    inputs = [node.name for node in graph.node if node.op == "Placeholder"]
    return subgraph(result, [*inputs, *outputs])


def folded_batch_norm(node: Node, graph: _Graph) -> list[Node] | None:
    """Batch normalisation folded into the weights and a bias of the convolution before it.

    scale = gamma / sqrt(variance + epsilon), offset = beta - (mean - bias) * scale, in float64.
    """
    if node.op not in ("FusedBatchNorm", "FusedBatchNormV3") or node.attr["is_training"].b:
        return None
    before, *parameters = (graph.input(node, position) for position in range(5))
    gamma, beta, mean, variance = (graph.array(parameter) for parameter in parameters)
    convolution, bias = _convolution_and_bias(before, graph)
    if convolution is None or bias is None or gamma is None:
        return None
    if beta is None or mean is None or variance is None:
        return None
    weights = graph.array(graph.input(convolution, 1))
    needed_once = graph.is_needed_once(convolution) and graph.is_needed_once(before)
    by_channel = bias.size == 1 or bias.shape == gamma.shape  # else the sum broadcasts otherwise
    if weights is None or not (needed_once and by_channel and graph.is_first_output_only(node)):
        return None
    epsilon = float(node.attr["epsilon"].f)
    scale = np.float64(gamma) / np.sqrt(np.float64(variance) + epsilon)
    offset = np.float64(beta) - (np.float64(mean) - np.float64(bias).reshape(-1)) * scale
    # A depthwise filter is [height, width, channel, multiplier], an output channel for each pair.
    per_weight = scale if convolution.op == "Conv2D" else scale.reshape(weights.shape[2:])
    dtype = tf.as_dtype(convolution.attr["T"].type)
    scaled = constant(f"{node.name}/weights", np.float64(weights) * per_weight, dtype)
    shift = constant(f"{node.name}/offset", offset, dtype)
    product = copied(convolution)
    product.name = f"{node.name}/product"
    product.input[1] = scaled.name
    total = Node(name=node.name, op="BiasAdd", input=[product.name, shift.name])
    total.attr["T"].CopyFrom(convolution.attr["T"])
    total.attr["data_format"].CopyFrom(convolution.attr["data_format"])
    return [scaled, product, shift, total]


def _convolution_and_bias(
    node: Node, graph: _Graph
) -> tuple[Node | None, np.ndarray[Any, Any] | None]:
    """The convolution that a node is, or adds a bias to, and the bias; None where there is none.

    The bias of a bare convolution is zero; one that is no constant is None.
    """
    if node.op in _CONVOLUTIONS:
        return node, np.zeros(())
    if node.op in _SUMS:
        for first, second in ((0, 1), (1, 0)):
            if (convolution := graph.input(node, first)).op in _CONVOLUTIONS:
                return convolution, graph.array(graph.input(node, second))
    return None, None


def bias_add(node: Node, graph: _Graph) -> list[Node] | None:
    """`BiasAdd` for a sum of a product and a constant vector, so that it is fused later."""
    if node.op not in ("Add", "AddV2"):
        return None
    product, bias = graph.input(node, 0), graph.array(graph.input(node, 1))
    if product.op not in (*_CONVOLUTIONS, "MatMul") or not graph.is_needed_once(product):
        return None
    # An addition broadcasts, and BiasAdd wants a value for each channel.
    if bias is None or bias.ndim != 1 or bias.size != _channels(product, graph):
        return None
    result = copied(node)
    result.op = "BiasAdd"
    result.attr["data_format"].s = b"NHWC"
    return [result]


def _channels(product: Node, graph: _Graph) -> int | None:
    """The output channels of a product; None where its weights are no constant."""
    weights = graph.array(graph.input(product, 1))
    if weights is None:
        return None
    axes = (2, 3) if product.op == "DepthwiseConv2dNative" else (-1,)
    if product.attr["transpose_b"].b:
        axes = (0,)
    return math.prod(int(weights.shape[axis]) for axis in axes)


def prelu(node: Node, graph: _Graph) -> list[Node] | None:
    """PReLU from relu(x) + (-alpha) * relu(-x), as Keras computes it."""
    if node.op not in ("Add", "AddV2"):
        return None
    positive, product = graph.input(node, 0), graph.input(node, 1)
    if positive.op != "Relu" or product.op != "Mul":
        return None
    factors = [graph.input(product, position) for position in (0, 1)]
    minus_alpha = next((graph.array(f) for f in factors if f.op == "Const"), None)
    negative = next((f for f in factors if f.op == "Relu"), None)
    if minus_alpha is None or negative is None:
        return None
    minus_x = graph.input(negative, 0)
    if minus_x.op != "Neg" or minus_x.input[0] != positive.input[0]:
        return None
    alpha = constant(f"{node.name}/alpha", -minus_alpha, tf.as_dtype(node.attr["T"].type))
    return [alpha, Node(name=node.name, op="Prelu", input=[positive.input[0], alpha.name])]


def fused_depthwise(node: Node, graph: _Graph) -> list[Node] | None:
    """A depthwise convolution with the bias, the activation, or both, after it."""
    activation = node if node.op in _ACTIVATIONS else None
    total = graph.input(node, 0) if activation else node
    bias = total if total.op == "BiasAdd" else None
    convolution = graph.input(total, 0) if bias else total
    parts = [part for part in (activation, bias) if part is not None]
    if convolution.op != "DepthwiseConv2dNative" or not parts:
        return None
    inner = [convolution, *([bias] if bias and activation else [])]
    if not all(graph.is_needed_once(part) for part in inner):
        return None
    result = copied(convolution)
    result.name, result.op = node.name, _FUSED_DEPTHWISE
    if bias is not None:
        result.input.append(bias.input[1])
    result.attr["num_args"].i = int(bias is not None)
    ops = ["BiasAdd" if bias is not None else "NoOp", *([activation.op] if activation else [])]
    result.attr["fused_ops"].list.s.extend(op.encode() for op in ops)
    return [result]


def fused_prelu(node: Node, graph: _Graph) -> list[Node] | None:
    """A PReLU as the activation of the fused product before it."""
    if node.op != "Prelu":
        return None
    product = graph.input(node, 0)
    if product.op not in ("_FusedConv2D", "_FusedMatMul", _FUSED_DEPTHWISE):
        return None
    if len(product.attr["fused_ops"].list.s) > 1 or not graph.is_needed_once(product):
        return None
    result = copied(product)
    result.name = node.name
    result.input.append(data_inputs(node)[1])
    result.attr["fused_ops"].list.s.append(b"Prelu")
    result.attr["num_args"].i += 1
    return [result]
