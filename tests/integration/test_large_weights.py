"""Large weights are kept out of a model's graphs, and its outputs do not change."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import portproof
from portproof.bundle.bundle import Bundle
from portproof.exporting import export_source
from portproof.formats import tfjs_graph
from portproof.formats.format import Format, Written
from portproof.formats.table import select
from portproof.graphs import freezing as frozen
from portproof.graphs.freezing import LARGE, freeze, with_weights
from portproof.oracle.oracle import Deviations, Oracle
from portproof.runtimes.python import inspection
from portproof.sources.keras_models import from_keras

ROWS, SIZE = 2000, 256


class Model(tf.Module):
    """A lookup in a large table, then a loop that multiplies by a large kernel."""

    def __init__(self) -> None:
        super().__init__()
        random = np.random.default_rng(5)
        self.table = tf.Variable(random.normal(size=(ROWS, SIZE)).astype(np.float32))
        kernel = random.normal(size=(SIZE, 1100)) / 20
        self.kernel = tf.Variable(kernel.astype(np.float32))
        self.unused = tf.constant(random.normal(size=(600, 600)), tf.float32)
        self.bias = tf.Variable(random.normal(size=SIZE).astype(np.float32))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, name="i")])
    def look(self, i: Any) -> dict[str, Any]:
        def body(n: Any, y: Any) -> Any:
            return n + 1, tf.tanh((y @ self.kernel)[:, :SIZE] + self.bias)

        y = tf.gather(self.table, i)
        tf.reduce_sum(self.unused)
        return {"y": tf.while_loop(lambda n, _: n < 3, body, [0, y])[1]}


MODEL = Model()
INDICES = np.array([0, 7, 1999, 7], np.int32)


def numpy_outputs(dtype: Any) -> np.ndarray:
    table, kernel, bias = (v.numpy().astype(dtype) for v in (MODEL.table, MODEL.kernel, MODEL.bias))
    y = table[INDICES]
    for _ in range(3):
        y = np.tanh((y @ kernel)[:, :SIZE] + bias)
    return np.asarray(y)


def test_large_weights_are_stored_once_and_in_no_graph() -> None:
    assert MODEL.table.numpy().nbytes >= LARGE
    assert MODEL.kernel.numpy().nbytes >= LARGE
    result = freeze(MODEL.look.get_concrete_function())
    assert result.graph.ByteSize() < 20_000
    values = sorted(result.weights.values(), key=len)
    np.testing.assert_array_equal(values[0], MODEL.kernel.numpy())
    np.testing.assert_array_equal(values[1], MODEL.table.numpy())
    assert len(values) == 2
    whole = with_weights(result.graph, result.weights)
    assert whole.ByteSize() > sum(value.nbytes for value in values)
    with tf.Graph().as_default() as graph:
        tf.graph_util.import_graph_def(whole, name="")
        with tf.compat.v1.Session(graph=graph) as session:
            got = session.run(result.outputs[0].name, {result.inputs["i"].name: INDICES})
    np.testing.assert_array_equal(got, MODEL.look(INDICES)["y"].numpy())


def test_the_oracle_and_its_bounds_are_the_same_as_with_constants(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def measured() -> tuple[Oracle, Deviations]:
        oracle = Oracle(MODEL.look.get_concrete_function())
        return oracle, oracle.deviations({"i": INDICES})

    oracle, separate = measured()
    monkeypatch.setattr(frozen, "LARGE", 1 << 40)
    other_oracle, embedded = measured()
    assert oracle.graph.ByteSize() < 20_000 < LARGE < other_oracle.graph.ByteSize()
    np.testing.assert_array_equal(separate.exact["y"], embedded.exact["y"])
    np.testing.assert_array_equal(separate.correct["y"], embedded.correct["y"])
    np.testing.assert_allclose(separate.exact["y"], numpy_outputs(np.float64), rtol=1e-9)
    error = np.abs(numpy_outputs(np.float32) - separate.exact["y"])
    assert (error <= separate.correct["y"]).all()
    assert (separate.correct["y"] < 1e-4).all()
    np.testing.assert_array_equal(
        oracle.original({"i": INDICES})["y"], other_oracle.original({"i": INDICES})["y"]
    )


def test_a_diagnosis_treats_large_weights_as_weights() -> None:
    graph = inspection.InspectedGraph(MODEL, MODEL.look.get_concrete_function())
    infer: Any = graph.oracle()
    arrays = infer({"i": INDICES})
    assert not any(array.shape in ((ROWS, SIZE), (SIZE, 1100)) for array in arrays.values())
    [output] = infer.answer_fields["output_nodes"].values()
    np.testing.assert_allclose(arrays[f"oracle/{output}"], numpy_outputs(np.float64), rtol=1e-9)


def test_generated_indices_stay_within_a_large_table() -> None:
    ids = keras.Input((3,), name="ids", dtype="int32")
    model = keras.Model(ids, keras.layers.Embedding(90_000, 3)(ids))
    indices = from_keras("ids", model, None).examples["serving_default"]["ids"]
    assert 1000 < indices.max() < 90_000


def test_no_weight_is_written_twice(bundles: dict[str, Bundle]) -> None:
    """TF.js reads weights from the shards: the topology must not repeat them in base64."""
    constants = 0
    for bundle in bundles.values():
        for path in bundle.path.glob("tfjs-graph/*/model.json"):
            for node in json.loads(path.read_text())["modelTopology"]["node"]:
                if node["op"] == "Const":
                    constants += 1
                    tensor = node["attr"]["value"]["tensor"]
                    assert set(tensor) <= {"dtype", "tensorShape"}, (bundle.path.name, node["name"])
    assert constants >= len(bundles)


def in_this_process(source: Any, root: Path, folder: str) -> Written:
    return tfjs_graph.write(source.saved, root, folder)


def test_a_format_that_cannot_hold_the_weights_is_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(frozen, "MAX_GRAPH", 3_000_000)
    # In this process: a format of one's own is not converted in another one.
    formats = [*select(["savedmodel"]), Format("tfjs-graph", in_this_process)]
    source = portproof.make_source(MODEL, inputs={"i": INDICES[:1]})
    bundle = export_source(source, tmp_path / "large", formats=formats)
    [left_out] = bundle.manifest.left_out
    assert left_out.reason.startswith("its weights are 0.0 GB, and TensorFlow cannot write")


@pytest.mark.slow
def test_a_large_model_is_proven(tmp_path: Path) -> None:
    bundle = portproof.export(
        MODEL,
        tmp_path / "large",
        inputs={"i": INDICES},
        formats=["savedmodel", "tflite", "tfjs-graph"],
    )
    size = sum(path.stat().st_size for path in (bundle.path / "tfjs-graph").rglob("*"))
    weights = MODEL.table.numpy().nbytes + MODEL.kernel.numpy().nbytes
    assert weights < size < 1.02 * weights
    report = portproof.verify(
        bundle.path, runtimes=["tensorflow", "litert", "tfjs-node-cpu", "tfjs-node-wasm"]
    )
    assert report.exit_status == 0, report
    assert {cell.runtime for cell in report.cells} == {
        "tensorflow",
        "litert",
        "tfjs-node-cpu",
        "tfjs-node-wasm",
    }
