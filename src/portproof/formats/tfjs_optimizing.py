"""A frozen graph as TF.js runs it best: TensorFlow's own graph optimizer, and a few fusings.

The same steps as TF.js's converter takes (tensorflowjs 4.22, tf_saved_model_conversion_v2.py).
"""

from collections.abc import Collection, Sequence
from typing import Any

import tensorflow as tf
from tensorflow.core.framework import graph_pb2
from tensorflow.core.protobuf import config_pb2, device_properties_pb2, meta_graph_pb2
from tensorflow.python.grappler import cluster, tf_optimizer

from portproof.formats.refusals import UnsupportedOpsError
from portproof.formats.tfjs_ops import OPS
from portproof.graphs import fusing
from portproof.graphs.references import node_name
from portproof.graphs.unfusing import unfused

_SIMPLIFY = ("constfold", "arithmetic", "dependency")
# Products that the optimizer fuses only for the CPU.
_FUSED_ON_CPU = ("Conv2D", "MatMul")


def optimized(
    graph: graph_pb2.GraphDef, signature: meta_graph_pb2.SignatureDef
) -> graph_pb2.GraphDef:
    """The optimized graph, whose inputs and outputs keep their names.

    Raises UnsupportedOpsError where TF.js does not have one of its ops.
    """
    outputs = [node_name(output.name) for output in signature.outputs.values()]
    _check_ops(graph)
    graph = _run_optimizer(graph, signature, outputs, ("pruning", *_SIMPLIFY) * 2)
    for pattern in (fusing.folded_batch_norm, fusing.bias_add):
        graph = fusing.replaced(graph, outputs, pattern)
    for node in graph.node:
        if node.op in _FUSED_ON_CPU:
            node.device = "/device:CPU:0"
    graph = _run_optimizer(graph, signature, outputs, ("remap", *_SIMPLIFY))
    graph = _without_unused_inputs(graph)
    for pattern in (fusing.prelu, fusing.fused_depthwise, fusing.fused_prelu):
        graph = fusing.replaced(graph, outputs, pattern)
    graph = unfused(graph)
    _check_ops(graph)
    return graph


def _check_ops(graph: graph_pb2.GraphDef) -> None:
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    if unknown := sorted({node.op for node in nodes} - OPS):
        raise UnsupportedOpsError(unknown)


def _run_optimizer(
    graph_def: graph_pb2.GraphDef,
    signature: meta_graph_pb2.SignatureDef,
    outputs: Collection[str],
    optimizers: Sequence[str],
) -> graph_pb2.GraphDef:
    """Some passes of TensorFlow's optimizer Grappler (tensorflow/core/grappler/optimizers)."""
    graph = tf.Graph()
    with graph.as_default():
        tf.graph_util.import_graph_def(graph_def, name="")
    for name in outputs:  # the collection by which Grappler knows what to keep
        graph.add_to_collection("train_op", graph.get_operation_by_name(name))
    meta_graph = tf.compat.v1.train.export_meta_graph(graph_def=graph_def, graph=graph)
    meta_graph.signature_def["signature"].CopyFrom(signature)
    config = config_pb2.ConfigProto()
    config.graph_options.rewrite_options.optimizers[:] = optimizers
    result: graph_pb2.GraphDef = tf_optimizer.OptimizeGraph(config, meta_graph, cluster=_gpu())
    return result


def _gpu() -> Any:
    """A GPU to optimize for: a CPU's layouts and fusings are none of TF.js's."""
    device = device_properties_pb2.NamedDevice(name="/GPU:0")
    device.properties.type = "GPU"
    device.properties.environment["architecture"] = "4"
    return cluster.Cluster(devices=[device])


def _without_unused_inputs(graph: graph_pb2.GraphDef) -> graph_pb2.GraphDef:
    """Without the placeholders that TensorFlow adds for control flow and nothing takes."""
    kept = [
        node
        for node in graph.node
        if node.op != "Placeholder" or not node.name.startswith("unused_control_flow_input")
    ]
    return graph_pb2.GraphDef(node=kept, versions=graph.versions, library=graph.library)
