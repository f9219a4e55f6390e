"""Each kind of model that a user may give becomes a Source."""

import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import portproof
from portproof.bundle.errors import ExportError, PortproofError, UsageError
from portproof.bundle.manifest import Structure
from portproof.bundle.report import Report
from portproof.bundle.signature import DTYPES
from portproof.exporting import export_source
from portproof.formats.table import select
from portproof.sources.examples import read_examples
from portproof.sources.keras_models import from_keras
from portproof.sources.modules import from_module
from portproof.sources.opening import make_source
from portproof.sources.source import Source

X = np.linspace(-1, 1, 24, dtype=np.float32).reshape(8, 3)


@keras.saving.register_keras_serializable("tests")
class Doubled(keras.layers.Layer):
    """A custom layer, which Keras does not have."""

    def call(self, x: Any) -> Any:
        return 2 * x


def dense() -> keras.Model:
    x = keras.Input((3,), name="x")
    return keras.Model(x, {"y": keras.layers.Dense(2)(x)}, name="dense")


class Nested(tf.Module):
    @tf.function(
        input_signature=[
            {"a": tf.TensorSpec([None, 2]), "b": [tf.TensorSpec([None]), tf.TensorSpec([None])]},
            tf.TensorSpec([], tf.float32, name="scale"),
        ]
    )
    def combine(self, features: Any, scale: Any) -> Any:
        a, b = features["a"], features["b"]
        return {"sum": {"a": a * scale, "b": (b[0] + b[1], b[0] - b[1])}, "scale": scale}


class Two(tf.Module):
    def __init__(self) -> None:
        super().__init__(name="two")
        self.w = tf.Variable(3.0)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def up(self, x: Any) -> dict[str, Any]:
        return {"y": x * self.w}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, name="n")])
    def down(self, n: Any) -> dict[str, Any]:
        return {"m": n // 2}


def test_a_keras_file_becomes_a_proven_bundle(tmp_path: Path) -> None:
    dense().save(tmp_path / "my_model.keras")
    bundle = portproof.export(tmp_path / "my_model.keras", folder=tmp_path / "artifacts")
    assert bundle.path == tmp_path / "artifacts" / "my_model"
    assert bundle.manifest.generated_inputs == ("serving_default",)
    assert portproof.verify(bundle.path, runtimes=["keras", "litert", "tfjs-node-cpu"]).ok


@pytest.mark.slow
def test_an_input_has_the_name_of_its_layer(tmp_path: Path) -> None:
    """As in Keras Applications, whose input tensor has another name than its layer."""
    tensor = keras.layers.Input((3,))
    model = keras.Model(tensor, {"y": keras.layers.Dense(2)(tensor)})
    assert tensor.name != model.layers[0].name
    bundle = portproof.export(model, tmp_path / "model")
    assert list(bundle.manifest.signatures["serving_default"].inputs) == [model.layers[0].name]
    assert portproof.verify(bundle.path, runtimes=["keras", "litert", "tfjs-node-cpu"]).ok


def test_a_saved_model_gives_all_signatures_or_the_chosen_ones(tmp_path: Path) -> None:
    two = Two()
    signatures = {"up": two.up, "down": two.down}
    tf.saved_model.save(two, str(tmp_path / "saved"), signatures=signatures)
    source = make_source(str(tmp_path / "saved"))
    assert source.name == "saved"
    assert set(source.signatures) == {"up", "down"}
    assert source.call("up", {"x": X[0]})["y"] == pytest.approx(3 * X[0])
    assert set(make_source(tmp_path / "saved", signatures=["up"]).signatures) == {"up"}
    with pytest.raises(UsageError, match="no signature sideways: they are"):
        make_source(tmp_path / "saved", signatures=["sideways"])
    bundle = portproof.export(tmp_path / "saved", tmp_path / "bundle")
    assert bundle.manifest.source.kind == "SavedModel"
    assert portproof.verify(bundle.path, runtimes=["tensorflow", "litert"]).ok


@pytest.mark.slow
def test_a_saved_models_inputs_keep_their_names(tmp_path: Path) -> None:
    """A loaded function takes its inputs in an order that it does not expose."""
    spec = tf.TensorSpec([None], tf.float32)

    class Difference(tf.Module):
        @tf.function(input_signature=[spec, spec, spec])
        def f(self, b: Any, a: Any, c: Any) -> dict[str, Any]:
            return {"y": a - b * c}

    module = Difference()
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures={"f": module.f})
    bundle = portproof.export(tmp_path / "saved", tmp_path / "bundle")
    assert portproof.verify(bundle.path, runtimes=["tensorflow", "litert", "tfjs-node-cpu"]).ok


def test_a_function_is_imported_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_models.py").write_text(
        f"import {__name__} as t\n"
        "def two(): return t.Two()\n"
        "def dense(): return t.dense()\n"
        "def three(): return 3\n"
        "def broken(): raise KeyError('weights')\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert set(make_source("my_models:two").signatures) == {"up", "down"}
    assert make_source("my_models:dense").name == "dense"
    for name, kind, message in (
        ("my_models:three", UsageError, "gave a int: it must return"),
        ("my_models:broken", ExportError, r"my_models:broken\(\) raised KeyError"),
        ("my_models:four", UsageError, "my_models has no four"),
        ("no_such_module:f", UsageError, "no_such_module cannot be imported"),
    ):
        with pytest.raises(kind, match=message):
            make_source(name)


@pytest.mark.slow
def test_a_custom_layer_is_found_through_an_import(tmp_path: Path) -> None:
    path = tmp_path / "doubled.keras"
    x = keras.Input((3,), name="x")
    keras.Model(x, {"y": Doubled()(x)}).save(path)
    bundle = portproof.export(path, tmp_path / "doubled", imports=[__name__])
    left_out = {entry.format: entry.reason for entry in bundle.manifest.left_out}
    assert "Doubled doubled, which Keras does not have" in left_out["keras"]
    assert portproof.verify(bundle.path, runtimes=["tensorflow", "litert"]).ok
    registered = keras.saving.get_custom_objects()
    original = dict(registered)
    registered.clear()
    try:
        with pytest.raises(UsageError, match=r"--import package\.module"):
            make_source(path)
    finally:
        registered.update(original)


def test_a_lambda_layer_is_refused_by_name(tmp_path: Path) -> None:
    x = keras.Input((3,), name="x")
    model = keras.Model(x, keras.layers.Lambda(lambda v: v * 2, name="twice")(x))
    with pytest.raises(ExportError, match=r"Lambda layers \(twice\).*keras\.ops"):
        from_keras("model", model)
    model.save(tmp_path / "model.keras")
    with pytest.raises(ExportError, match=r"Lambda layers \(twice\).*keras\.ops"):
        make_source(tmp_path / "model.keras")


def test_nested_inputs_and_outputs_get_flat_names() -> None:
    rows = np.arange(6, dtype=np.float32)
    features = {"features_a": np.ones((6, 2), np.float32), "features_b_0": rows}
    inputs = {**features, "features_b_1": 2 * rows, "scale": np.float32(0.5)}
    source = from_module("nested", Nested(), inputs)
    signature = source.signatures["combine"]
    assert set(signature.inputs) == set(inputs)
    assert set(signature.outputs) == {"sum_a", "sum_b_0", "sum_b_1", "scale"}
    assert source.structures["combine"] == Structure(
        inputs={
            "features": {"a": "features_a", "b": ["features_b_0", "features_b_1"]},
            "scale": "scale",
        },
        outputs={"sum": {"a": "sum_a", "b": ["sum_b_0", "sum_b_1"]}, "scale": "scale"},
    )
    outputs = source.call("combine", source.examples["combine"])
    np.testing.assert_array_equal(outputs["sum_b_1"], -rows)


@pytest.fixture(scope="module")
def every_dtype(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """A module for each dtype with a scalar and two dynamic dimensions, verified."""
    folder = tmp_path_factory.mktemp("dtypes")
    paths = []
    for name in DTYPES:
        dtype = tf.as_dtype(name)
        batch = tf.TensorSpec([None, None, 2], dtype, name="x")

        class Module(tf.Module):
            @tf.function(input_signature=[batch, tf.TensorSpec([], dtype, name="s")])
            def f(self, x: Any, s: Any) -> dict[str, Any]:
                y = tf.not_equal(x, s) if s.dtype == tf.bool else x + s
                return {"y": y, "s": tf.identity(s)}

        source = from_module(f"of_{name}", Module())
        paths.append(export_source(source, folder / name, formats=select(["tflite"])).path)
    return portproof.verify(*paths, runtimes=["tensorflow", "tensorflow-c", "litert"])


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_is_exported_and_proven(dtype: str, every_dtype: Report) -> None:
    cells = [c for c in every_dtype.cells if c.model == f"of_{dtype}" and c.regime != "edge"]
    assert {"savedmodel"} <= {cell.format for cell in cells}
    assert {cell.output for cell in cells} == {"y", "s"}
    assert all(cell.passed for cell in cells), [(c.runtime, c.detail) for c in cells]
    if "tflite" not in {cell.format for cell in cells}:
        reason = every_dtype.left_out[f"of_{dtype}"]["tflite"]
        assert f"no AddV2 of {dtype}" in reason
        assert "test_open.py" in reason


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (tf.TensorSpec([None], tf.string, name="text"), r"input text is string.*integers"),
        (tf.RaggedTensorSpec([None, None], tf.float32), "must be a dense tensor"),
        (tf.SparseTensorSpec([None, 3], tf.float32), "must be a dense tensor"),
        (tf.TensorSpec(None, tf.float32, name="x"), "has no rank"),
        (tf.TensorSpec([None], tf.complex64, name="z"), "input z is complex64"),
    ],
)
def test_an_input_that_cannot_be_exported_is_named(spec: Any, message: str) -> None:
    class Module(tf.Module):
        @tf.function(input_signature=[spec])
        def f(self, _: Any) -> Any:
            return tf.constant(1.0)

    with pytest.raises(PortproofError, match=message):
        from_module("module", Module())


@pytest.mark.parametrize("suffix", ["npz", "npy", "safetensors"])
def test_examples_are_read_from_files(suffix: str, tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    path = tmp_path / f"data.{suffix}"
    if suffix == "npz":
        np.savez(path, x=X.astype(np.float64))
    elif suffix == "npy":
        np.save(path, X)
    else:
        save_file({"x": X}, path)
    examples = from_keras("dense", dense(), read_examples(path)).examples["serving_default"]
    np.testing.assert_array_equal(examples["x"], X)
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(UsageError, match="cannot be read"):
        read_examples(path)


@pytest.mark.parametrize("batched", [True, False])
def test_examples_come_from_a_dataset(batched: bool) -> None:
    rows = tf.data.Dataset.from_tensor_slices((X, X[:, 0]))
    source = from_keras("dense", dense(), rows.batch(3) if batched else rows)
    np.testing.assert_array_equal(source.examples["serving_default"]["x"], X)


def generated(model: keras.Model) -> dict[str, Any]:
    return dict(from_keras("model", model).examples["serving_default"])


def test_generated_inputs_suit_the_layers_that_take_them() -> None:
    layers = keras.layers
    ids = keras.Input((5,), dtype="int32", name="ids")
    values = generated(keras.Model(ids, layers.Embedding(7, 2)(ids)))["ids"]
    assert set(np.unique(values)) == set(range(7))

    floats = keras.Input((5,), name="ids")
    values = generated(keras.Model(floats, layers.Embedding(7, 2)(floats)))["ids"]
    assert set(np.unique(values)) == set(range(7))

    pixels = keras.Input((4, 4, 3), name="pixels")
    values = generated(keras.Model(pixels, layers.Rescaling(1 / 127.5, -1)(pixels)))["pixels"]
    assert 0 <= values.min() < 30
    assert 220 < values.max() <= 255

    x = keras.Input((2,), name="x")
    norm = layers.Normalization(mean=[100.0, -3.0], variance=[25.0, 0.01])
    values = generated(keras.Model(x, norm(x)))["x"]
    np.testing.assert_allclose(values.mean(axis=0), [100, -3], atol=4)
    np.testing.assert_allclose(values.std(axis=0), [5, 0.1], rtol=0.6)

    category = keras.Input((), dtype="int64", name="category")
    values = generated(keras.Model(category, keras.ops.one_hot(category, 4)))["category"]
    assert set(np.unique(values)) == set(range(4))


def test_a_model_that_no_generated_input_suits_needs_examples() -> None:
    class Strict(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def f(self, x: Any) -> dict[str, Any]:
            tf.debugging.assert_greater(x, 1e6)
            return {"y": x}

    with pytest.raises(UsageError, match=r"no example inputs could be generated.*--inputs"):
        from_module("strict", Strict())


def test_several_signatures_share_a_file_of_examples() -> None:
    source: Source = from_module("two", Two(), {"up/x": X[0], "down/n": np.array([4, 5])})
    assert not source.generated_inputs
    assert source.examples["down"]["n"].dtype == np.int32
    with pytest.raises(UsageError, match="several signatures"):
        from_module("two", Two(), {"x": X[0]})


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model.keras", b"not a zip", r"not a whole \.keras file"),
        ("model.h5", b"", "not a whole HDF5 file"),
        ("model.onnx", b"", "no model to export"),
        ("folder", None, r"no saved_model\.pb"),
    ],
)
def test_a_path_that_holds_no_model_is_refused(
    name: str, content: bytes | None, message: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        make_source(path)
