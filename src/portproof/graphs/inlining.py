"""Calls of functions in a GraphDef, replaced by what they call."""

from collections.abc import Iterable

import tensorflow as tf
from tensorflow.core.framework import graph_pb2
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2, rewriter_config_pb2
from tensorflow.python.grappler import tf_optimizer

from portproof.graphs.references import all_nodes

_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
# XLA's mark of a function that it compiles whole, as Keras has a convolution in groups: with it
# TensorFlow's optimizer leaves a call as it is (grappler/optimizers/function_optimizer.cc).
_COMPILED = "_XlaMustCompile"


def with_compiled_calls_inlined(
    graph: graph_pb2.GraphDef, kept: Iterable[str]
) -> graph_pb2.GraphDef:
    """The graph without calls of functions that were to be compiled by XLA.

    Args:
        graph: The graph; where it has such calls, their mark is taken from it.
        kept: The names of the nodes that have to stay.
    """
    if not any(node.op in _CALLS and _COMPILED in node.attr for node in all_nodes(graph)):
        return graph
    for part in (*all_nodes(graph), *graph.library.function):
        part.attr.pop(_COMPILED, None)
    with tf.Graph().as_default() as imported:
        tf.graph_util.import_graph_def(graph, name="")
        meta_graph = tf.compat.v1.train.export_meta_graph(graph_def=graph, graph=imported)
    nodes = meta_graph_pb2.CollectionDef()
    nodes.node_list.value.extend(f"{name}:0" for name in kept)
    meta_graph.collection_def["train_op"].CopyFrom(nodes)  # where the optimizer looks for them
    config = config_pb2.ConfigProto()
    options = config.graph_options.rewrite_options
    options.min_graph_nodes = -1  # small graphs too
    options.optimizers.append("function")
    options.function_optimization = rewriter_config_pb2.RewriterConfig.AGGRESSIVE
    return tf_optimizer.OptimizeGraph(config, meta_graph)
