"""Each rewrite gives the numbers of what it replaces, in every runtime that loads its format."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import portproof
from portproof.bundle.bundle import Bundle
from portproof.bundle.errors import ExportError
from portproof.bundle.report import Report
from portproof.exporting import export_source
from portproof.formats.table import select
from portproof.graphs.freezing import freeze
from portproof.graphs.rewrites.einsum import einsum
from portproof.graphs.rewrites.error_function import erf, erfc
from portproof.graphs.splicing import spliced
from portproof.graphs.unrolling import has_loops, unrolled
from portproof.runtimes.table import RUNTIMES
from portproof.sources.keras_models import from_keras
from portproof.sources.modules import from_module
from portproof.sources.source import Source

RANDOM = np.random.default_rng(5)


def module(name: str, shape: tuple[int, ...], function: Any, scale: float = 1.0) -> Source:
    """`y = function(x)` for rows of a shape."""

    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, *shape], tf.float32, name="x")])
        def f(self, x: Any) -> dict[str, Any]:
            return {"y": function(x)}

    rows = scale * RANDOM.standard_normal((12, *shape))
    return from_module(name, Module(), {"x": rows.astype(np.float32)})


def _weights(*shape: int) -> Any:
    return tf.constant(RANDOM.standard_normal(shape), tf.float32)


def _hard_swish(x: Any) -> Any:
    y = tf.nn.bias_add(tf.nn.conv2d(x, _weights(3, 3, 2, 4), 1, "SAME"), _weights(4))
    return y * tf.nn.relu6(y + 3) * (1 / 6)


def _counted_from_the_end(x: Any, size: int) -> Any:
    index = tf.cast(x * 2, tf.int32)
    return tf.where(index < 0, index + size, index)


def _recurrent(name: str, length: int | None) -> Source:
    x = keras.Input((length, 3), name="x")
    model = keras.Model(x, {"y": keras.layers.LSTM(4)(x)})
    inputs = RANDOM.standard_normal((6, 5, 3)).astype(np.float32)
    return from_keras(name, model, {"x": inputs})


def _convolutions() -> keras.Model:
    """A group for each channel, two groups, and two groups with steps that differ."""
    x = keras.Input((9, 9, 4), name="x")
    layer = keras.layers.Conv2D
    alone = layer(8, 3, groups=4, padding="same", dilation_rate=2)(x)
    pairs = layer(6, 3, groups=2, strides=(2, 1), padding="same")(alone)
    stepped = layer(6, 2, groups=6, strides=(1, 2))(pairs)
    return keras.Model(x, {"y": stepped})


MODELS = {
    ("tfjs-graph", "Erf by"): lambda: module("erf", (7,), tf.math.erf, 3.0),
    ("tfjs-graph", "Erfc, which"): lambda: module("erfc", (7,), tf.math.erfc, 3.0),
    ("tfjs-graph", "Einsum, which"): lambda: module(
        "einsum", (3, 4), lambda x: tf.einsum("bij,jkl->bkil", x, _weights(4, 2, 5))
    ),
    ("tfjs-graph", "MatrixBandPart, which"): lambda: module(
        "band_part",
        (4, 5),
        lambda x: tf.where(tf.linalg.band_part(x > 0, -1, 0), tf.linalg.band_part(x, 1, 2), 9.0),
    ),
    ("tfjs-graph", "Transpose of booleans, which"): lambda: module(
        "mask", (6, 1), lambda x: tf.where(tf.transpose(x > 0, [1, 0, 2]), 1.0, 2.0)
    ),
    ("tfjs-graph", "Softsign, which"): lambda: module("softsign", (5,), tf.nn.softsign, 3.0),
    ("tfjs-graph", "Conv2D in groups"): lambda: from_keras(
        "groups", _convolutions(), {"x": RANDOM.standard_normal((6, 9, 9, 4)).astype(np.float32)}
    ),
    # These change no arithmetic, so they have no note: shapes, and fusings as the converter does.
    ("tfjs-graph", "plain shapes"): lambda: module(
        "shapes", (3, 4), lambda x: tf.reshape(x * 2, [tf.shape(x)[0], tf.shape(x)[2], 3])
    ),
    ("tfjs-graph", "plain sizes that the batch is in"): lambda: module(
        "tensordot", (3, 4), lambda x: tf.tensordot(x * 2, _weights(4, 5), 1)
    ),
    ("tfjs-graph", "plain rows of the batch"): lambda: module(
        "rows", (3, 4), lambda x: x + tf.fill([tf.shape(x)[0], 3, 1], 0.5)
    ),
    ("tfjs-graph", "fused tanh"): lambda: module(
        "tanh", (4,), lambda x: tf.tanh(tf.nn.bias_add(x @ _weights(4, 3), _weights(3)))
    ),
    ("tfjs-graph", "fused hard swish"): lambda: module("swish", (5, 5, 2), _hard_swish),
    ("tfjs-graph", "fused bias"): lambda: module(
        "bias", (4,), lambda x: tf.nn.relu(x @ _weights(4, 3) + _weights(1, 3))
    ),
    ("tflite", "MaxPool3D, which"): lambda: module(
        "max_pool", (4, 5, 6, 2), lambda x: tf.nn.max_pool3d(x, 2, 2, "SAME")
    ),
    ("tflite", "AvgPool3D, which"): lambda: module(
        "average_pool", (4, 5, 6, 2), lambda x: tf.nn.avg_pool3d(x, 3, 1, "SAME")
    ),
    ("tflite", "loops of known length"): lambda: _recurrent("fixed", 5),
    ("tfjs-graph", "loops of known length"): lambda: _recurrent("written_out", 5),
    ("tflite", "SelectV2 of integers, which"): lambda: module(
        "select", (4,), lambda x: tf.gather(_weights(9, 2), _counted_from_the_end(x, 9))
    ),
    ("tflite", "plain choice"): lambda: module(
        "choice", (4,), lambda x: tf.where(x > 0, x, tf.exp(-x))
    ),
    ("tflite", "Tile, which"): lambda: module(
        "tile", (2, 3), lambda x: tf.repeat(tf.tile(x, [1, 2, 3]), 2, axis=1)
    ),
    ("tflite", "the lists of tensors"): lambda: _recurrent("dynamic", None),
}


# The runtimes that refuse a rewritten model, and a part of their message.
REFUSED = {
    # These take no dynamic dimension, and the sequence's length is dynamic.
    ("tflite", "the lists of tensors"): dict.fromkeys(
        ("litert-chromium-wasm", "litert-chromium-webgpu", "litert-webgpu"),
        "lacks a dynamic dimension",
    ),
}
CHOSEN = [
    runtime
    for runtime in RUNTIMES
    if {"tflite", "tfjs-graph"} & set(runtime.formats)
    and runtime.name not in ("tflite-micro", "openvino", "litert-adb")
]
# Rewritten for TensorFlow Lite Micro, which lacks operations that the other models use.
MICRO_MODELS = ("select", "choice", "tile")


@pytest.fixture(scope="module")
def rewritten(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Bundle]:
    folder = tmp_path_factory.mktemp("rewritten")
    bundles = {}
    for (format_, title), build in MODELS.items():
        source = build()
        bundles[format_, title] = export_source(
            source, folder / source.name, formats=select([format_]), required=[format_]
        )
    return bundles


@pytest.fixture(scope="module")
def report(rewritten: dict[tuple[str, str], Bundle]) -> Report:
    return portproof.verify(
        *(bundle.path for bundle in rewritten.values()), runtimes=[r.name for r in CHOSEN]
    )


@pytest.mark.slow
@pytest.mark.parametrize(("format_", "title"), list(MODELS))
def test_a_rewrite_is_noted_and_proven_in_every_runtime(
    format_: str, title: str, rewritten: dict[tuple[str, str], Bundle], report: Report
) -> None:
    bundle = rewritten[format_, title]
    [artifact] = [a for a in bundle.manifest.artifacts if a.format == format_]
    if not title.startswith(("fused", "plain")):
        assert any(note.startswith(title) for note in artifact.notes), artifact.notes
        assert report.notes[bundle.manifest.model][format_] == artifact.notes
    cells = [
        c
        for c in report.cells
        if (c.model, c.format) == (bundle.manifest.model, format_) and c.regime != "edge"
    ]
    assert {cell.runtime for cell in cells} == {r.name for r in CHOSEN if format_ in r.formats}
    failures = {cell.runtime: cell.detail for cell in cells if not cell.passed}
    refused = REFUSED.get((format_, title), {})
    assert set(failures) == set(refused), failures
    assert all(reason in failures[runtime] for runtime, reason in refused.items())


@pytest.mark.slow
def test_a_rewrite_for_microcontrollers_runs_on_them(
    rewritten: dict[tuple[str, str], Bundle],
) -> None:
    chosen = [b.path for b in rewritten.values() if b.manifest.model in MICRO_MODELS]
    report = portproof.verify(*chosen, runtimes=["tflite-micro"])
    cells = [cell for cell in report.cells if cell.regime != "edge"]
    assert {cell.model for cell in cells} == set(MICRO_MODELS)
    assert {cell.detail for cell in cells if not cell.passed} == set()


def test_a_loop_of_unknown_length_is_refused_for_tfjs(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="give the sequence a fixed length"):
        export_source(
            _recurrent("dynamic", None),
            tmp_path / "dynamic",
            formats=select(["tfjs-graph"]),
            required=["tfjs-graph"],
        )


@pytest.mark.parametrize(("function", "exact"), [(erf, math.erf), (erfc, math.erfc)])
def test_the_error_function_is_right_within_a_few_units_in_the_last_place(
    function: Any, exact: Any
) -> None:
    ends = [np.inf, -np.inf, 1e30, -1e30, 1e-40, 0.0, -0.0, 10.4, 10.6]
    x = np.concatenate([np.linspace(-11, 11, 40001), ends]).astype(np.float32)
    got = function(None, [tf.constant(x)]).numpy()
    want = np.array([exact(float(value)) for value in x])
    normal = np.abs(want) > 1e-37
    units = np.abs(got - want)[normal] / np.spacing(np.abs(want[normal]).astype(np.float32))
    assert units.max() < 8
    assert (np.abs(got[~normal]) <= 1e-37).all()
    assert np.isnan(function(None, [tf.constant([np.nan])]).numpy()).all()
    assert np.signbit(erf(None, [tf.constant([-0.0])]).numpy()).all()


@pytest.mark.parametrize(
    ("equation", "a", "b"),
    [
        ("abc,cde->abde", (2, 3, 4), (4, 5, 6)),
        ("acbe,aecd->abcd", (2, 3, 4, 5), (2, 5, 3, 6)),
        ("aecd,abcd->acbe", (2, 3, 4, 5), (2, 6, 4, 5)),
        ("ab,b->a", (3, 4), (4,)),
        ("ab,cd->bd", (2, 3), (4, 5)),
        ("abc,abc->", (2, 3, 4), (2, 3, 4)),
        ("a,b->ab", (3,), (4,)),
    ],
)
def test_einsum_is_the_same_sum_of_products(
    equation: str, a: tuple[int, ...], b: tuple[int, ...]
) -> None:
    x, y = RANDOM.standard_normal(a), RANDOM.standard_normal(b)
    node = SimpleNamespace(attr={"equation": SimpleNamespace(s=equation.encode())})
    result: Any = einsum(node, [tf.constant(x), tf.constant(y)])
    np.testing.assert_allclose(result, np.einsum(equation, x, y))


@pytest.mark.parametrize("equation", ["aab->ab", "ab->ba"])
def test_an_unsupported_einsum_is_not_rewritten(equation: str) -> None:
    node = SimpleNamespace(attr={"equation": SimpleNamespace(s=equation.encode())})
    assert einsum(node, [tf.zeros([2, 2, 2])] * (1 + equation.count(","))) is None


def test_an_unknown_size_is_not_evaluated_while_unrolling() -> None:
    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, name="x")])
    def repeated(x: Any) -> dict[str, Any]:
        for _ in tf.range(3):
            x = x * 2 + tf.cast(tf.reduce_prod(tf.shape(x)), tf.float32)
        return {"y": x}

    frozen = freeze(repeated.get_concrete_function(), inline=True)
    result = unrolled(frozen.graph)
    assert has_loops(frozen.graph)
    assert not has_loops(result)
    value = np.ones((2, 3), np.float32)
    expected = repeated(value)["y"].numpy()
    with tf.Graph().as_default() as graph:
        tf.graph_util.import_graph_def(result, name="")
        with tf.compat.v1.Session(graph=graph) as session:
            got = session.run(frozen.outputs[0].name, {frozen.inputs["x"].name: value})
    np.testing.assert_array_equal(got, expected)


def test_a_spliced_graph_keeps_names_loops_and_other_outputs() -> None:
    graph = tf.Graph()
    with graph.as_default():
        x = tf.compat.v1.placeholder(tf.float32, [None], "x")

        def body(n: Any, total: Any) -> Any:
            return n + 1, total + tf.math.erf(total, name="inside")

        tf.compat.v1.disable_control_flow_v2()  # TF.js runs the loops of version 1
        try:
            _, total = tf.compat.v1.while_loop(lambda n, _: n < 3, body, [0, x])
        finally:
            tf.compat.v1.enable_control_flow_v2()
        tf.identity(total, "y")
    result = spliced(graph.as_graph_def(), {"Erf": erf})
    assert "Erf" not in {node.op for node in result.node}
    assert any(node.name == "while/inside" for node in result.node)
    value = np.array([0.5, -1.0], np.float32)
    results = []
    for definition in (graph.as_graph_def(), result):
        with tf.Graph().as_default() as imported:
            tf.graph_util.import_graph_def(definition, name="")
            with tf.compat.v1.Session(graph=imported) as session:
                results.append(session.run("y:0", {"x:0": value}))
    np.testing.assert_allclose(results[0], results[1], rtol=1e-6)
