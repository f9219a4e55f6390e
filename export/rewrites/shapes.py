"""Shapes that are computed in the graph, and known when it is written down but for the batch."""

import tensorflow as tf
from tensorflow.core.framework import graph_pb2
from tensorflow.core.framework.node_def_pb2 import NodeDef as Node

from export.rewrites.nodes import constant, node_of

# What the batch and every other unknown dimension are taken to be, to see what depends on them.
# Primes, so that none is a size of the model or a product of its sizes.
_TRIED = ((101, 211), (103, 223), (107, 227))
_BATCH = tuple(batch for batch, _ in _TRIED)

Sizes = tuple[int, ...]  # of one dimension, by what was tried


def written_down(graph: graph_pb2.GraphDef) -> graph_pb2.GraphDef:
    """The graph with constants for the shapes that its reshapes and its fills compute.

    A shape that is computed must be read back from the GPU before such an op can run, which WebGPU
    cannot do in time. A reshape finds out one unknown size by itself; an array that is filled with
    as many rows as the batch has (a recurrent layer's initial state) is broadcast from an input.
    """
    constants = {node.name: node for node in graph.node if node.op == "Const"}
    computed = [
        n for n in graph.node if n.op in _SHAPED and n.input[_SHAPED[n.op]] not in constants
    ]
    found = _outputs(graph, computed)
    if not found:
        return graph
    batched = next((n for n in graph.node if _rank_of_batched(n)), None)
    result = graph_pb2.GraphDef(versions=graph.versions, library=graph.library)
    for node in graph.node:
        shape = found.get(node.name, [])
        depends = [sizes for sizes in shape if not _is_known(sizes)]
        made: list[Node] | None = None
        if shape and node.op == "Reshape" and len(depends) <= 1:
            made = _reshape(node, shape)
        elif shape and batched and shape[0] == _BATCH and depends == [_BATCH]:
            value = constants.get(node.input[1])
            made = _filled(node, batched, value, shape) if value else None
        result.node.extend(made or [node])
    return result


# The input of an op that is a shape.
_SHAPED = {"Reshape": 1, "Fill": 0}


def _is_known(sizes: Sizes) -> bool:
    return len(set(sizes)) == 1


def _outputs(graph: graph_pb2.GraphDef, nodes: list[Node]) -> dict[str, list[Sizes]]:
    """The output shapes of some nodes.

    Those whose shape TensorFlow does not infer, or which make nothing at all, are left out.
    """
    tried = [_inferred(graph, nodes, *sizes) for sizes in _TRIED] if nodes else [{}]
    shapes = {name: [other.get(name, []) for other in tried] for name in tried[0]}
    return {
        name: list(zip(*found, strict=True))
        for name, found in shapes.items()
        if len({len(shape) for shape in found}) == 1 and 0 not in found[0]
    }


def _inferred(
    graph: graph_pb2.GraphDef, nodes: list[Node], batch: int, other: int
) -> dict[str, list[int]]:
    """The shapes of some nodes' outputs, with these sizes for the unknown ones of the inputs."""
    known = graph_pb2.GraphDef.FromString(graph.SerializeToString())
    for node in known.node:
        if "_output_shapes" in node.attr:
            del node.attr["_output_shapes"]
        if node.op == "Placeholder":
            for axis, dim in enumerate(node.attr["shape"].shape.dim):
                dim.size = dim.size if dim.size >= 0 else other if axis else batch
    with tf.Graph().as_default() as imported:
        try:
            tf.graph_util.import_graph_def(known, name="")
        except ValueError:  # a graph that cannot have such a batch
            return {}
    shapes = {n.name: imported.get_tensor_by_name(f"{n.name}:0").shape for n in nodes}
    return {name: s.as_list() for name, s in shapes.items() if s.is_fully_defined()}


def _reshape(node: Node, shape: list[Sizes]) -> list[Node]:
    dtype = tf.as_dtype(node.attr["Tshape"].type or tf.int32.as_datatype_enum)
    known = [sizes[0] if _is_known(sizes) else -1 for sizes in shape]
    known_shape = constant(f"{node.name}/known_shape", known, dtype)
    node = Node.FromString(node.SerializeToString())
    node.input[1] = known_shape.name
    return [known_shape, node]


def _rank_of_batched(node: Node) -> int:
    """The rank of an input whose first dimension is not known; 0 of any other node."""
    if node.op != "Placeholder" or node.attr["dtype"].type not in _NUMBERS:
        return 0
    sizes = [dim.size for dim in node.attr["shape"].shape.dim]
    return len(sizes) if sizes and sizes[0] < 0 and 0 not in sizes else 0


_NUMBERS = {tf.float32.as_datatype_enum, tf.int32.as_datatype_enum}


def _filled(node: Node, x: Node, value: Node, shape: list[Sizes]) -> list[Node]:
    """Zeros in the shape of an input's first elements, plus a constant: `[batch, *sizes]`."""
    rank = _rank_of_batched(x)
    name, dtype = node.name, tf.as_dtype(node.attr["T"].type)
    filler = tf.make_ndarray(value.attr["value"].tensor)
    rest = [sizes[0] if _is_known(sizes) else 1 for sizes in shape]
    constants = [
        constant(f"{name}/known_begin", [0] * rank, tf.int32),
        constant(f"{name}/known_size", [-1] + [1] * (rank - 1), tf.int32),
        constant(f"{name}/known_shape", [-1] + [1] * (len(shape) - 1), tf.int32),
        constant(f"{name}/known_value", tf.fill(rest, filler).numpy(), dtype),
    ]
    begin, size, column, filled = (one.name for one in constants)
    given = tf.as_dtype(x.attr["dtype"].type)
    nodes = [
        node_of(f"{name}/known_first", "Slice", [x.name, begin, size], T=given, Index=tf.int32),
        node_of(
            f"{name}/known_column",
            "Reshape",
            [f"{name}/known_first", column],
            T=given,
            Tshape=tf.int32,
        ),
        node_of(f"{name}/known_zeros", "ZerosLike", [f"{name}/known_column"], T=given),
        node_of(f"{name}/known_cast", "Cast", [f"{name}/known_zeros"], SrcT=given, DstT=dtype),
        node_of(name, "AddV2", [f"{name}/known_cast", filled], T=dtype),
    ]
    return [*constants, *nodes]
