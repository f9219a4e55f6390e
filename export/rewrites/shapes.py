"""Shapes that are computed in the graph, and known when it is written down."""

import tensorflow as tf
from tensorflow.core.framework import graph_pb2


def written_down(graph: graph_pb2.GraphDef) -> graph_pb2.GraphDef:
    """The graph with constants for the shapes that its reshapes compute.

    One size may be unknown, which a reshape finds out. A shape that is computed must be read back
    from the GPU before the reshape can run, which WebGPU cannot do in time.
    """
    constants = {node.name for node in graph.node if node.op == "Const"}
    computed = [n for n in graph.node if n.op == "Reshape" and n.input[1] not in constants]
    if not computed:
        return graph
    known = tf.Graph()
    with known.as_default():
        tf.graph_util.import_graph_def(graph, name="")
    graph = graph_pb2.GraphDef.FromString(graph.SerializeToString())
    for node in graph.node:
        if node.op != "Reshape" or node.input[1] in constants:
            continue
        shape = known.get_tensor_by_name(f"{node.name}:0").shape
        if shape.rank is None or shape.as_list().count(None) > 1:
            continue
        sizes = [-1 if size is None else size for size in shape.as_list()]
        if 0 in sizes:  # of nothing, a reshape cannot find a size out
            continue
        made = graph.node.add(name=f"{node.name}/known_shape", op="Const")
        made.attr["dtype"].type = node.attr["Tshape"].type or tf.int32.as_datatype_enum
        dtype = tf.as_dtype(made.attr["dtype"].type)
        made.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(sizes, dtype))
        node.input[1] = made.name
    return graph
