"""Additions that an implementation may do within the sum of products before them.

A layer's bias, or a normalisation after it, is one more term of that sum. Many implementations
begin with it: XNNPACK and oneDNN initialise their accumulators with the bias.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tensorflow.core.framework.node_def_pb2 import NodeDef as Node

from portproof.graphs.references import data_inputs, node_name

# Sums of products that have a bias, and what may stand between one and its bias.
_PRODUCTS = frozenset(
    {
        "MatMul",
        "BatchMatMul",
        "BatchMatMulV2",
        "BatchMatMulV3",
        "Conv2D",
        "Conv3D",
        "DepthwiseConv2dNative",
        "Conv2DBackpropInput",
        "Conv3DBackpropInputV2",
        "Einsum",
    }
)
_MOVING = frozenset({"Identity", "Reshape", "Squeeze", "ExpandDims"})
_ADDING = frozenset({"Add", "AddV2", "Sub", "BiasAdd"})


@dataclass(frozen=True)
class FoldedBias:
    """Which operand of an addition may be a sum's first term, and the node of that sum."""

    operand: int
    products: str


def folded_biases(nodes: Sequence[Node], varying: Collection[str] | None) -> dict[str, FoldedBias]:
    """The additions in a graph, or a function, that may be done within a sum of products.

    Args:
        nodes: The nodes, each after those that it takes from.
        varying: The nodes that depend on an input of the model. What is added must not; None:
            nobody knows, and only a `BiasAdd` is known for what it is.
    """
    sums: dict[str, str] = {}  # a node that gives such a sum, and the node that adds it up
    found: dict[str, FoldedBias] = {}
    for node in nodes:
        before = [node_name(ref) for ref in data_inputs(node)]
        if node.op in _PRODUCTS:
            sums[node.name] = node.name
        elif node.op in _MOVING and before[0] in sums:
            sums[node.name] = sums[before[0]]
        elif node.op in {*_ADDING, "Mul"}:
            of = next((n for n in range(2) if before[n] in sums), None)
            if of is None or not _is_constant(node, before[1 - of], varying):
                continue
            sums[node.name] = sums[before[of]]
            if node.op in _ADDING and node.attr["data_format"].s != b"NCHW":
                found[node.name] = FoldedBias(1 - of, sums[before[of]])
    return found


def _is_constant(node: Node, other: str, varying: Collection[str] | None) -> bool:
    return node.op == "BiasAdd" if varying is None else other not in varying
