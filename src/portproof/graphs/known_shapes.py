"""Shapes that a graph computes although all of them but the batch is known beforehand."""

import tensorflow as tf
from tensorflow.core.framework import graph_pb2
from tensorflow.core.framework.node_def_pb2 import NodeDef as Node

from portproof.graphs.nodes import constant, typed_node
from portproof.graphs.references import copied

# Sizes that are tried for the batch and for every other unknown dimension, to see what depends on
# them. Primes, so that none is a size of the model or a product of its sizes.
_TRIED = ((101, 211), (103, 223), (107, 227))
_BATCH = tuple(batch for batch, _ in _TRIED)
# The input of an op that is a shape.
_SHAPE_INPUT = {"Reshape": 1, "Fill": 0}
_NUMBERS = {tf.float32.as_datatype_enum, tf.int32.as_datatype_enum}

Sizes = tuple[int, ...]  # of one dimension, for each that was tried


def with_known_shapes(graph: graph_pb2.GraphDef) -> graph_pb2.GraphDef:
    """The graph with constants for the shapes that its reshapes and its fills compute.

    A computed shape must be read back from the GPU before such an op can run, which WebGPU cannot
    do in time. A reshape finds out one unknown size by itself; an array that is filled with as
    many rows as the batch has (a recurrent layer's initial state) is broadcast from an input.
    """
    constants = {node.name: node for node in graph.node if node.op == "Const"}
    computed = [
        node
        for node in graph.node
        if node.op in _SHAPE_INPUT and node.input[_SHAPE_INPUT[node.op]] not in constants
    ]
    shapes = _output_shapes(graph, computed)
    if not shapes:
        return graph
    batched = next((node for node in graph.node if _batched_rank(node)), None)
    result = graph_pb2.GraphDef(versions=graph.versions, library=graph.library)
    for node in graph.node:
        shape = shapes.get(node.name, [])
        unknown = [sizes for sizes in shape if not _is_known(sizes)]
        nodes: list[Node] | None = None
        if shape and node.op == "Reshape" and len(unknown) <= 1:
            nodes = _known_reshape(node, shape)
        elif shape and batched and shape[0] == _BATCH and unknown == [_BATCH]:
            value = constants.get(node.input[1])
            nodes = _broadcast_fill(node, batched, value, shape) if value else None
        result.node.extend(nodes or [node])
    return result


def _is_known(sizes: Sizes) -> bool:
    return len(set(sizes)) == 1


def _output_shapes(graph: graph_pb2.GraphDef, nodes: list[Node]) -> dict[str, list[Sizes]]:
    """The output shapes of some nodes, for all sizes that are tried.

    Nodes whose shape TensorFlow does not infer, or that have no elements, are left out.
    """
    tried = [_inferred_shapes(graph, nodes, *sizes) for sizes in _TRIED] if nodes else [{}]
    shapes = {name: [other.get(name, []) for other in tried] for name in tried[0]}
    return {
        name: list(zip(*of_node, strict=True))
        for name, of_node in shapes.items()
        if len({len(shape) for shape in of_node}) == 1 and 0 not in of_node[0]
    }


def _inferred_shapes(
    graph: graph_pb2.GraphDef, nodes: list[Node], batch: int, other: int
) -> dict[str, list[int]]:
    """The shapes of some nodes' outputs, with these sizes for the unknown ones of the inputs."""
    sized = graph_pb2.GraphDef.FromString(graph.SerializeToString())
    for node in sized.node:
        if "_output_shapes" in node.attr:
            del node.attr["_output_shapes"]
        if node.op == "Placeholder":
            for axis, dim in enumerate(node.attr["shape"].shape.dim):
                dim.size = dim.size if dim.size >= 0 else other if axis else batch
    with tf.Graph().as_default() as imported:
        try:
            tf.graph_util.import_graph_def(sized, name="")
        except ValueError:  # a graph that cannot have such a batch
            return {}
    shapes = {n.name: imported.get_tensor_by_name(f"{n.name}:0").shape for n in nodes}
    return {name: s.as_list() for name, s in shapes.items() if s.is_fully_defined()}


def _known_reshape(node: Node, shape: list[Sizes]) -> list[Node]:
    dtype = tf.as_dtype(node.attr["Tshape"].type or tf.int32.as_datatype_enum)
    sizes = [sizes[0] if _is_known(sizes) else -1 for sizes in shape]
    known_shape = constant(f"{node.name}/known_shape", sizes, dtype)
    node = copied(node)
    node.input[1] = known_shape.name
    return [known_shape, node]


def _batched_rank(node: Node) -> int:
    """The rank of an input whose first dimension is not known; 0 for any other node."""
    if node.op != "Placeholder" or node.attr["dtype"].type not in _NUMBERS:
        return 0
    sizes = [dim.size for dim in node.attr["shape"].shape.dim]
    return len(sizes) if sizes and sizes[0] < 0 and 0 not in sizes else 0


def _broadcast_fill(node: Node, x: Node, value: Node, shape: list[Sizes]) -> list[Node]:
    """Zeros in the shape of an input's first elements, plus a constant: `[batch, *sizes]`."""
    rank = _batched_rank(x)
    name, dtype = node.name, tf.as_dtype(node.attr["T"].type)
    filler = tf.make_ndarray(value.attr["value"].tensor)
    sizes = [sizes[0] if _is_known(sizes) else 1 for sizes in shape]
    constants = [
        constant(f"{name}/known_begin", [0] * rank, tf.int32),
        constant(f"{name}/known_size", [-1] + [1] * (rank - 1), tf.int32),
        constant(f"{name}/known_shape", [-1] + [1] * (len(shape) - 1), tf.int32),
        constant(f"{name}/known_value", tf.fill(sizes, filler).numpy(), dtype),
    ]
    begin, size, column, filled = (node.name for node in constants)
    input_dtype = tf.as_dtype(x.attr["dtype"].type)
    first, reshaped, zeros, cast = (
        f"{name}/known_{step}" for step in ("first", "column", "zeros", "cast")
    )
    nodes = [
        typed_node(first, "Slice", [x.name, begin, size], T=input_dtype, Index=tf.int32),
        typed_node(reshaped, "Reshape", [first, column], T=input_dtype, Tshape=tf.int32),
        typed_node(zeros, "ZerosLike", [reshaped], T=input_dtype),
        typed_node(cast, "Cast", [zeros], SrcT=input_dtype, DstT=dtype),
        typed_node(name, "AddV2", [cast, filled], T=dtype),
    ]
    return [*constants, *nodes]
