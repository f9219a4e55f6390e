"""Models that look up in tables, and SavedModels with signatures that no bundle can carry."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import portproof
from portproof.bundle.bundle import Bundle
from portproof.graphs import lookup_tables

KEYS = [10, 20, 30, 42]
RUNTIMES = ("tensorflow", "keras-jax", "litert", "onnxruntime", "tfjs-node-cpu")


@pytest.fixture(scope="module")
def integers(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Keras's way with categories: integers are looked up, and those that nobody knows are 0."""
    x = keras.Input((2,), dtype="int32", name="ids")
    found = keras.layers.IntegerLookup(vocabulary=KEYS)(keras.ops.cast(x, "int64"))
    embedded = keras.layers.Flatten()(keras.layers.Embedding(6, 4)(found))
    model = keras.Model(x, {"y": keras.layers.Dense(3)(embedded)}, name="integers")
    ids = np.random.default_rng(0).choice([*KEYS, 7, -1], (32, 2)).astype(np.int32)
    return portproof.export(
        model,
        inputs={"ids": ids},
        path=tmp_path_factory.mktemp("tables") / "integers",
        formats=["keras", "tflite", "onnx", "tfjs-graph"],
    )


def test_a_lookup_of_integers_is_proven_where_there_are_no_tables(integers: Bundle) -> None:
    report = portproof.verify(integers.path, runtimes=RUNTIMES)
    verdicts = {
        cell.runtime: cell.verdict
        for cell in report.cells
        if cell.regime == "typical" and cell.format != "checkpoint"
    }
    assert verdicts.pop("keras-jax") == "unsupported"
    assert set(verdicts) == {"tensorflow", "litert", "onnxruntime", "tfjs-node-cpu"}
    assert set(verdicts.values()) <= {"exact", "faithful"}
    [jax] = {cell.lacks for cell in report.cells if cell.runtime == "keras-jax"}
    assert jax == "IntegerLookup"


def test_a_lookup_is_noted(integers: Bundle) -> None:
    notes = {artifact.name: artifact.notes for artifact in integers.manifest.artifacts}
    for name in ("tflite", "onnx", "tfjs-graph"):
        assert lookup_tables.NOTE in notes[name]


def test_another_table_is_not_taken_for_it(integers: Bundle, tmp_path: Path) -> None:
    """The keys of the table decide: the same file with one key changed is wrong."""
    [artifact] = [a for a in integers.manifest.artifacts if a.name == "tflite"]
    [endpoint] = artifact.endpoints.values()
    content = integers.artifact_path(endpoint.path).read_bytes()
    keys = np.array(sorted(KEYS), np.int64).tobytes()
    assert keys in content
    damaged = tmp_path / "damaged.tflite"
    damaged.write_bytes(content.replace(keys, np.array([10, 20, 31, 42], np.int64).tobytes()))
    report = portproof.check(
        damaged,
        against=integers.artifact_path("keras/integers.keras"),
        inputs=_saved_inputs(tmp_path),
        folder=tmp_path / "checked",
        runtimes=["litert"],
    )
    assert {cell.verdict for cell in report.cells if cell.regime == "typical"} == {"wrong"}


def _saved_inputs(folder: Path) -> Path:
    ids = np.random.default_rng(1).choice([*KEYS, 7], (32, 2)).astype(np.int32)
    np.savez(folder / "ids.npz", ids=ids)
    return folder / "ids.npz"


class _Several(tf.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        strings = tf.lookup.KeyValueTensorInitializer(["a", "b"], tf.constant([1, 2], tf.int64))
        integers = tf.lookup.KeyValueTensorInitializer(
            tf.constant([10, 20], tf.int64), tf.constant([1.5, 2.5])
        )
        self.strings = tf.lookup.StaticHashTable(strings, -1)
        self.integers = tf.lookup.StaticHashTable(integers, 0.0)
        self.w = tf.Variable(np.arange(12, dtype=np.float32).reshape(4, 3) / 7)

    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="x")])
    def score(self, x: Any) -> dict[str, Any]:
        return {"y": tf.nn.softmax(x @ self.w)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64, name="i")])
    def weigh(self, i: Any) -> dict[str, Any]:
        return {"v": self.integers.lookup(i)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="s")])
    def number(self, s: Any) -> dict[str, Any]:
        return {"id": self.strings.lookup(s)}

    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="x")])
    def label(self, x: Any) -> dict[str, Any]:
        return {"name": tf.as_string(tf.argmax(x @ self.w, -1))}


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("several") / "several"
    module = _Several()
    names = ("score", "weigh", "number", "label")
    tf.saved_model.save(module, str(folder), {name: getattr(module, name) for name in names})
    return folder


def test_signatures_of_strings_are_named_and_the_others_carried(
    several: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines: list[str] = []
    bundle = portproof.export(
        several,
        path=tmp_path / "several",
        inputs={"weigh": {"i": np.array([10, 20, 5, -20] * 8)}},
        formats=["tflite", "onnx"],
        log=lines.append,
    )
    assert set(bundle.manifest.signatures) == {"score", "weigh"}
    assert set(bundle.manifest.left_out_signatures) == {"number", "label"}
    assert any("left out the signature number: input s is string" in line for line in lines)
    report = portproof.verify(bundle.path, runtimes=["tensorflow", "litert", "onnxruntime"])
    assert report.ok
    assert {(c.signature, c.runtime) for c in report.cells if c.passed} >= {
        (signature, runtime) for signature in ("score", "weigh") for runtime in report.requested
    }
    portproof.print_report(report)
    assert "not carried: signature label: output name is string" in capsys.readouterr().out


def test_a_chosen_signature_of_strings_is_refused(several: Path) -> None:
    with pytest.raises(portproof.ExportError, match="number: input s is string"):
        portproof.make_source(several, signatures=["number"])


def test_a_model_of_strings_alone_is_refused_with_all_reasons(tmp_path: Path) -> None:
    module = _Several()
    signatures = {"number": module.number, "label": module.label}
    tf.saved_model.save(module, str(tmp_path / "strings"), signatures)
    with pytest.raises(portproof.ExportError, match=r"number: input s .*; label: output name"):
        portproof.make_source(tmp_path / "strings")


def test_a_table_of_too_many_keys_is_refused(tmp_path: Path) -> None:
    class Large(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            keys = tf.range(lookup_tables.MAX_KEYS + 1, dtype=tf.int64)
            initializer = tf.lookup.KeyValueTensorInitializer(keys, keys)
            self.table = tf.lookup.StaticHashTable(initializer, 0)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.int64, name="i")])
        def f(self, i: Any) -> dict[str, Any]:
            return {"v": self.table.lookup(i)}

    with pytest.raises(portproof.ExportError, match=r"65,537 keys .*before the model"):
        portproof.export(Large(), path=tmp_path / "large")
