"""Fusings for TF.js: the same numbers in fewer operations; outputs used elsewhere are kept."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import portproof
from portproof.graphs import fusing
from portproof.graphs.freezing import freeze
from portproof.graphs.references import node_name

RANDOM = np.random.default_rng(5)
X = RANDOM.standard_normal((2, 6, 6, 3)).astype(np.float32)
FILTER = tf.constant(RANDOM.standard_normal((3, 3, 3, 4)), tf.float32)
DEPTHWISE = tf.constant(RANDOM.standard_normal((3, 3, 3, 2)), tf.float32)


def parameters(channels: int) -> list[Any]:
    """Scale, offset, mean and variance of a batch normalisation."""
    draws = [RANDOM.uniform(0.5, 2, channels) for _ in range(4)]
    return [tf.constant(draw, tf.float32) for draw in draws]


def convolution(x: Any) -> Any:
    return tf.nn.conv2d(x, FILTER, 1, "SAME")


def depthwise(x: Any) -> Any:
    return tf.nn.depthwise_conv2d(x, DEPTHWISE, [1, 1, 1, 1], "SAME")


def batch_norm(x: Any, channels: int) -> Any:
    scale, offset, mean, variance = parameters(channels)
    normalised, _, _ = tf.compat.v1.nn.fused_batch_norm(
        x, scale, offset, mean, variance, epsilon=1e-2, is_training=False
    )
    return normalised


def frozen_graph(function: Callable[[Any], Any]) -> tuple[Any, list[str]]:
    """A function's frozen graph, in which its constants are nodes, and its output nodes."""
    spec = tf.TensorSpec([None, 6, 6, 3], tf.float32, name="x")
    traced = tf.function(lambda x: {"y": function(x)}, input_signature=[spec], autograph=False)
    frozen = freeze(traced.get_concrete_function(), inline=True)
    return frozen.graph, [node_name(tensor.name) for tensor in frozen.outputs]


def fused(function: Callable[[Any], Any], *patterns: fusing.Pattern) -> tuple[Any, Any]:
    """A function's graph before and after the patterns, which see it without Identity nodes."""
    graph, outputs = frozen_graph(function)
    result = graph
    for pattern in (without_identity, *patterns):
        result = fusing.replaced(result, outputs, pattern)
    return graph, result


def without_identity(node: Any, graph: Any) -> list[Any] | None:
    """As TensorFlow's optimizer leaves a graph: inputs refer past Identity nodes."""
    changed = type(node).FromString(node.SerializeToString())
    for n, ref in enumerate(node.input):
        source = graph.nodes[node_name(ref)]
        while source.op == "Identity" and source.input:
            ref = source.input[0]
            source = graph.nodes[node_name(ref)]
        changed.input[n] = ref
    return [changed]


def ops(graph: Any) -> set[str]:
    return {node.op for node in graph.node}


def computed(graph_def: Any, fetches: Sequence[str] = ("Identity:0",)) -> list[Any]:
    graph = tf.Graph()
    with graph.as_default():
        tf.graph_util.import_graph_def(graph_def, name="")
    with tf.compat.v1.Session(graph=graph) as session:
        results: list[Any] = session.run(list(fetches), {"x:0": X})
    return results


@pytest.mark.parametrize(
    ("product", "channels"), [(convolution, 4), (depthwise, 6)], ids=["plain", "depthwise"]
)
@pytest.mark.parametrize("biased", [False, True])
def test_batch_norm_is_folded_into_a_convolution(
    product: Callable[[Any], Any], channels: int, biased: bool
) -> None:
    bias = tf.constant(RANDOM.standard_normal(channels), tf.float32)

    def model(x: Any) -> Any:
        y = product(x)
        return batch_norm(y + bias if biased else y, channels)

    before, after = fused(model, fusing.folded_batch_norm)
    assert "FusedBatchNormV3" in ops(before)
    assert "FusedBatchNormV3" not in ops(after)
    np.testing.assert_allclose(computed(after)[0], computed(before)[0], rtol=1e-5, atol=1e-5)


def test_a_convolution_that_is_needed_elsewhere_is_not_folded() -> None:
    def model(x: Any) -> Any:
        y = convolution(x)
        return batch_norm(y, 4) + y

    before, after = fused(model, fusing.folded_batch_norm)
    assert "FusedBatchNormV3" in ops(after)
    np.testing.assert_array_equal(computed(after)[0], computed(before)[0])


def test_only_a_sum_with_a_vector_becomes_a_bias() -> None:
    vector = tf.constant(RANDOM.standard_normal(4), tf.float32)
    _, after = fused(lambda x: convolution(x) + vector, fusing.bias_add)
    assert "BiasAdd" in ops(after)
    for other in (tf.reduce_sum(vector), vector[:1], vector[None]):

        def summed(x: Any, other: Any = other) -> Any:
            return convolution(x) + other

        before, after = fused(summed, fusing.bias_add)
        assert "BiasAdd" not in ops(after)
        np.testing.assert_array_equal(computed(after)[0], computed(before)[0])


@pytest.mark.parametrize("shape", [(1,), (1, 1, 1, 4), (6, 6, 4)])
def test_a_sum_that_broadcasts_survives_a_batch_norm(shape: tuple[int, ...]) -> None:
    summand = tf.constant(RANDOM.standard_normal(shape), tf.float32)
    before, after = fused(
        lambda x: batch_norm(convolution(x) + summand, 4), fusing.folded_batch_norm
    )
    np.testing.assert_allclose(computed(after)[0], computed(before)[0], rtol=1e-5, atol=1e-5)


# What TensorFlow's optimizer fuses and TF.js cannot run as one: of an input, not of a constant.
def product_with_input_bias(x: Any, b: Any) -> Any:
    y = tf.nn.bias_add(x @ tf.constant(RANDOM.standard_normal((5, 5)), tf.float32), b[0])
    return tf.nn.relu(y) + tf.constant([-0.5, -1.0, 0.0, -0.25, -2.0]) * tf.nn.relu(-y)


def normalised_with_input_filter(x: Any, b: Any) -> Any:
    y = tf.nn.conv2d(tf.reshape(x, (-1, 5, 1, 1)), tf.reshape(b[:1], (1, 1, 1, 5)), 1, "SAME")
    return tf.nn.relu(batch_norm(y, 5))


def activated_with_input_bias(x: Any, b: Any) -> Any:
    return tf.tanh(tf.nn.bias_add(x @ tf.constant(np.eye(5), tf.float32), b[0]))


def looked_up_in_small_integers(x: Any, b: Any) -> Any:
    table = tf.constant([7, 200, 3], tf.uint8)
    row = tf.gather(table, tf.cast(tf.clip_by_value(x, 0, 2), tf.int32))
    return tf.cast(row, tf.float32) + b


@pytest.mark.parametrize(
    "function",
    [
        product_with_input_bias,
        normalised_with_input_filter,
        activated_with_input_bias,
        looked_up_in_small_integers,
    ],
)
def test_what_is_fused_is_the_same_in_tfjs(function: Callable[..., Any], tmp_path: Path) -> None:
    class Model(tf.Module):
        @tf.function(
            input_signature=[
                tf.TensorSpec([4, 5], tf.float32, name="x"),
                tf.TensorSpec([4, 5], tf.float32, name="b"),
            ]
        )
        def compute(self, x: Any, b: Any) -> dict[str, Any]:
            return {"y": function(x, b)}

    inputs = {name: RANDOM.standard_normal((4, 5)).astype(np.float32) for name in ("x", "b")}
    bundle = portproof.export(Model(), tmp_path / "m", inputs=inputs, formats=["tfjs-graph"])
    report = portproof.verify(bundle.path, runtimes=["tfjs-node-cpu"])
    assert report.ok, report.failures
    assert report.cells


def test_prelu_is_recognised_and_fused_into_its_product() -> None:
    bias = tf.constant(RANDOM.standard_normal(6), tf.float32)
    alpha = tf.constant(RANDOM.uniform(0.1, 0.5, 6), tf.float32)

    def model(x: Any) -> Any:
        y = tf.nn.bias_add(depthwise(x), bias)
        return tf.nn.relu(y) + (-alpha) * tf.nn.relu(-y)

    graph, outputs = frozen_graph(model)
    graph = fusing.replaced(graph, outputs, without_identity)
    graph = folded_constants(graph)
    graph = fusing.replaced(graph, outputs, fusing.prelu)
    assert "Prelu" in ops(graph)
    [node] = [node for node in graph.node if node.op == "Prelu"]
    [values] = [n for n in graph.node if n.name == node.input[1]]
    np.testing.assert_array_equal(tf.make_ndarray(values.attr["value"].tensor), alpha.numpy())
    graph = fusing.replaced(graph, outputs, fusing.fused_depthwise)
    graph = fusing.replaced(graph, outputs, fusing.fused_prelu)
    [node] = [node for node in graph.node if node.op == "FusedDepthwiseConv2dNative"]
    assert list(node.attr["fused_ops"].list.s) == [b"BiasAdd", b"Prelu"]
    assert node.attr["num_args"].i == 2
    assert len(node.input) == 4


def folded_constants(graph: Any) -> Any:
    """Negated constants as constants, as TensorFlow's optimizer leaves them."""
    constants = {
        n.name: tf.make_ndarray(n.attr["value"].tensor) for n in graph.node if n.op == "Const"
    }
    for node in graph.node:
        if node.op == "Neg" and node.input[0] in constants:
            value = -constants[node.input[0]]
            node.op = "Const"
            del node.input[:]
            node.attr["dtype"].CopyFrom(node.attr.pop("T", node.attr["T"]))
            node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
    return graph


def test_a_product_that_is_needed_elsewhere_gets_no_activation() -> None:
    def model(x: Any) -> Any:
        y = depthwise(x)
        return tf.nn.relu(y) + y

    before, after = fused(model, fusing.fused_depthwise)
    assert "FusedDepthwiseConv2dNative" not in ops(after)
    np.testing.assert_array_equal(computed(after)[0], computed(before)[0])


def test_a_depthwise_convolution_takes_bias_and_activation() -> None:
    bias = tf.constant(RANDOM.standard_normal(6), tf.float32)
    _, after = fused(
        lambda x: tf.nn.relu6(tf.nn.bias_add(depthwise(x), bias)), fusing.fused_depthwise
    )
    [node] = [node for node in after.node if node.op == "FusedDepthwiseConv2dNative"]
    assert list(node.attr["fused_ops"].list.s) == [b"BiasAdd", b"Relu6"]
    assert "Relu6" not in ops(after)
    assert "BiasAdd" not in ops(after)
