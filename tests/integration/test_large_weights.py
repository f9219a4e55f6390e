"""Large weights stay out of the graphs that are made of a model, and its numbers the same."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import portproof
from portproof.bundle.bundle import Bundle
from portproof.graphs import freezing as frozen
from portproof.graphs.freezing import LARGE, freeze, with_weights
from portproof.oracle.oracle import Deviations, Oracle
from portproof.runtimes.python import inspection
from portproof.sources.keras_models import from_keras

ROWS, SIZE = 2000, 256


class Model(tf.Module):
    """A large table that is looked up, and a kernel that a loop multiplies with, also large."""

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


def by_hand(dtype: Any) -> np.ndarray:
    table, kernel, bias = (v.numpy().astype(dtype) for v in (MODEL.table, MODEL.kernel, MODEL.bias))
    y = table[INDICES]
    for _ in range(3):
        y = np.tanh((y @ kernel)[:, :SIZE] + bias)
    return np.asarray(y)


def test_they_are_held_once_and_in_no_graph() -> None:
    assert MODEL.table.numpy().nbytes >= LARGE
    assert MODEL.kernel.numpy().nbytes >= LARGE
    found = freeze(MODEL.look.get_concrete_function())
    assert found.graph.ByteSize() < 20_000
    values = sorted(found.weights.values(), key=len)
    np.testing.assert_array_equal(values[0], MODEL.kernel.numpy())
    np.testing.assert_array_equal(values[1], MODEL.table.numpy())
    assert len(values) == 2
    whole = with_weights(found.graph, found.weights)
    assert whole.ByteSize() > sum(value.nbytes for value in values)
    with tf.Graph().as_default() as graph:
        tf.graph_util.import_graph_def(whole, name="")
        with tf.compat.v1.Session(graph=graph) as session:
            got = session.run(found.outputs[0].name, {found.inputs["i"].name: INDICES})
    np.testing.assert_array_equal(got, MODEL.look(INDICES)["y"].numpy())


def test_the_oracle_and_its_bounds_are_those_of_constants(monkeypatch: pytest.MonkeyPatch) -> None:
    def measured() -> tuple[Oracle, Deviations]:
        oracle = Oracle(MODEL.look.get_concrete_function())
        return oracle, oracle.deviations({"i": INDICES})

    oracle, apart = measured()
    monkeypatch.setattr(frozen, "LARGE", 1 << 40)
    other, inside = measured()
    assert oracle.graph.ByteSize() < 20_000 < LARGE < other.graph.ByteSize()
    np.testing.assert_array_equal(apart.exact["y"], inside.exact["y"])
    np.testing.assert_array_equal(apart.correct["y"], inside.correct["y"])
    np.testing.assert_allclose(apart.exact["y"], by_hand(np.float64), rtol=1e-9)
    error = np.abs(by_hand(np.float32) - apart.exact["y"])
    assert (error <= apart.correct["y"]).all()
    assert (apart.correct["y"] < 1e-4).all()
    np.testing.assert_array_equal(
        oracle.original({"i": INDICES})["y"], other.original({"i": INDICES})["y"]
    )


def test_a_diagnosis_takes_them_for_weights() -> None:
    infer: Any = inspection.load(MODEL, MODEL.look.get_concrete_function(), oracle=True)
    made = infer({"i": INDICES})
    assert not any(array.shape in ((ROWS, SIZE), (SIZE, 1100)) for array in made.values())
    [output] = infer.answer_fields["output_nodes"].values()
    np.testing.assert_allclose(made[f"oracle/{output}"], by_hand(np.float64), rtol=1e-9)


def test_a_large_table_is_still_what_bounds_its_indices() -> None:
    ids = keras.Input((3,), name="ids", dtype="int32")
    model = keras.Model(ids, keras.layers.Embedding(90_000, 3)(ids))
    found = from_keras("ids", model, None).examples["serving_default"]["ids"]
    assert 1000 < found.max() < 90_000


def test_no_weight_is_written_twice(bundles: dict[str, Bundle]) -> None:
    """TF.js reads them from the shards; in the topology they would be there in base64 as well."""
    found = 0
    for bundle in bundles.values():
        for path in bundle.path.glob("tfjs-graph/*/model.json"):
            for node in json.loads(path.read_text())["modelTopology"]["node"]:
                if node["op"] == "Const":
                    found += 1
                    tensor = node["attr"]["value"]["tensor"]
                    assert set(tensor) <= {"dtype", "tensorShape"}, (bundle.path.name, node["name"])
    assert found >= len(bundles)


def test_what_is_too_large_for_a_format_is_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(frozen, "MAX_GRAPH", 3_000_000)
    bundle = portproof.export(MODEL, tmp_path / "large", inputs={"i": INDICES[:1]})
    reasons = {left.format: left.reason for left in bundle.manifest.left_out}
    assert reasons["tfjs-graph"].startswith("its weights are 0.0 GB, and TensorFlow cannot write")
    assert {a.format for a in bundle.manifest.artifacts} >= {"savedmodel", "checkpoint", "tflite"}


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
