"""Models of Keras 2 and files of HDF5 as originals."""

import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import portproof
from portproof import keras2
from portproof.bundle.bundle import Bundle
from portproof.runtimes.environments.python import PythonEnvironment

# Keras 2 says at each file that its own format is old.
pytestmark = pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
RANDOM = np.random.default_rng(11)
TOKENS = RANDOM.integers(0, 20, (32, 12)).astype(np.int32)
IMAGES = RANDOM.random((32, 16, 16, 3)).astype(np.float32)
INPUTS = {"tokens": TOKENS, "image": IMAGES}


@pytest.fixture(scope="module")
def model() -> Any:
    """Two inputs and two outputs, trained, so that it has an optimizer's variables too."""
    layers = tf_keras.layers
    tokens = tf_keras.Input((12,), name="tokens", dtype="int32")
    image = tf_keras.Input((16, 16, 3), name="image")
    text = layers.GRU(8)(layers.Embedding(20, 6)(tokens))
    pixels = layers.BatchNormalization()(layers.Conv2D(6, 3, activation="relu")(image))
    both = layers.Concatenate()([text, layers.GlobalAveragePooling2D()(pixels)])
    hidden = layers.Dense(8, activation="gelu")(layers.Dropout(0.5)(both))
    outputs = [layers.Dense(3, name="kind")(hidden), layers.Dense(1, name="size")(hidden + 1.0)]
    model = tf_keras.Model([tokens, image], outputs, name="two")
    model.compile("adam", loss=["mse", "mse"])
    model.fit([TOKENS, IMAGES], [np.ones((32, 3)), np.ones(32)], epochs=1, verbose=0)
    # Training begins anywhere: the same weights every time, and variances above zero.
    model.set_weights([_drawn(weight) for weight in model.weights])
    return model


def _drawn(weight: Any) -> Any:
    drawn = np.random.default_rng(weight.shape.num_elements()).normal(0, 0.4, weight.shape)
    return np.abs(drawn) + 0.5 if "variance" in weight.name else drawn


@pytest.mark.parametrize("file", ["two.h5", "two.keras"])
def test_a_model_of_keras_2_is_an_original(file: str, model: Any, tmp_path: Path) -> None:
    # A model in memory is one in test_an_application_of_keras_2_is_exported.
    model.save(tmp_path / file)
    bundle = portproof.export(
        tmp_path / file, tmp_path / "two", inputs=INPUTS, formats=["tflite", "onnx", "tfjs-graph"]
    )
    assert bundle.manifest.source.kind == "tf_keras.Model"
    assert bundle.manifest.source.parameters == model.count_params()
    assert "gru" in "".join(bundle.manifest.layers)
    _is_the_reference(bundle, model)
    runtimes = ["tensorflow", "litert", "onnxruntime", "tfjs-node-cpu"]
    report = portproof.verify(bundle.path, runtimes=runtimes)
    assert report.ok, [(cell.place, cell.artifact, cell.detail) for cell in report.failures]
    assert {cell.runtime for cell in report.cells if cell.passed} == set(runtimes)


def _is_the_reference(bundle: Bundle, model: Any) -> None:
    [vector] = [v for v in bundle.manifest.vectors if v.regime == "typical"]
    arrays = bundle.read(vector)
    kind, size = model([arrays["inputs/tokens"], arrays["inputs/image"]], training=False)
    # Called without a graph here, so that TensorFlow fuses less.
    np.testing.assert_allclose(arrays["reference/kind"], kind, rtol=1e-5)
    np.testing.assert_allclose(arrays["reference/size"], size, rtol=1e-5)


def test_a_file_of_keras_2_is_exported_in_the_sandbox(model: Any, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from portproof.cli.application import app

    model.save(tmp_path / "two.h5")
    words = ["export", str(tmp_path / "two.h5"), "--format", "tflite", f"--output={tmp_path}"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert Bundle.open(tmp_path / "two").manifest.source.kind == "tf_keras.Model"


def test_an_application_of_keras_2_is_exported(tmp_path: Path) -> None:
    model = tf_keras.applications.MobileNetV2((64, 64, 3), weights=None, classes=5)
    x = RANDOM.random((8, 64, 64, 3)).astype(np.float32)
    bundle = portproof.export(model, tmp_path / "mobilenet", inputs=x, formats=["tflite"])
    assert [artifact.name for artifact in bundle.manifest.artifacts] == ["savedmodel", "tflite"]


def test_hdf5_of_keras_3_is_loaded_by_keras_3(tmp_path: Path) -> None:
    x = keras.Input((3,), name="x")
    keras.Model(x, {"y": keras.layers.Dense(2)(x)}).save(tmp_path / "new.h5")
    bundle = portproof.export(
        tmp_path / "new.h5", tmp_path / "new", inputs=np.ones((4, 3)), formats=["keras"]
    )
    assert bundle.manifest.source.kind == "keras.Model"


def test_a_model_without_inputs_is_refused() -> None:
    class Subclassed(tf_keras.Model):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            return x

    with pytest.raises(portproof.ExportError, match=r"has no inputs.*tf_keras\.Input"):
        portproof.make_source(Subclassed())


def _changed_config(source: Path, target: Path, change: Any) -> Path:
    """A copy of a `.keras` file with another config."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "config.json":
                config = json.loads(content)
                change(config)
                content = json.dumps(config).encode()
            new.writestr(name, content)
    return target


@pytest.fixture
def dense(tmp_path: Path) -> Path:
    model = tf_keras.Sequential([tf_keras.layers.Dense(2, input_shape=(3,), activation="relu")])
    model.save(tmp_path / "dense.keras")
    model.save(tmp_path / "dense.h5")
    return tmp_path / "dense.keras"


def test_a_module_that_a_file_names_is_not_imported(dense: Path, tmp_path: Path) -> None:
    (tmp_path / "evil_module.py").write_text("raise SystemExit('imported')")
    sys.path.insert(0, str(tmp_path))

    def change(config: Any) -> None:
        config["config"]["layers"][1]["module"] = "evil_module"

    try:
        changed = _changed_config(dense, tmp_path / "changed.keras", change)
        with pytest.raises(portproof.UsageError, match=r"Dense of evil_module.*--import"):
            portproof.make_source(changed)
    finally:
        sys.path.remove(str(tmp_path))
    assert "evil_module" not in sys.modules


def test_a_lambda_in_hdf5_is_refused(tmp_path: Path) -> None:
    layers = [tf_keras.layers.Lambda(lambda x: 2 * x, name="twice", input_shape=(3,))]
    tf_keras.Sequential(layers).save(tmp_path / "code.h5")
    with pytest.raises(portproof.ExportError, match=r"Lambda layers \(twice\)"):
        portproof.make_source(tmp_path / "code.h5")


def test_what_is_in_another_file_is_refused(dense: Path, tmp_path: Path) -> None:
    path = dense.with_suffix(".h5")
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["kernel"] = np.zeros((3, 2), np.float32)
    with h5py.File(path, "a") as file:
        [name] = [n for n in _datasets(file["model_weights"]) if "kernel" in n]
        del file[f"model_weights/{name}"]
        file[f"model_weights/{name}"] = h5py.ExternalLink("other.h5", "kernel")
    with pytest.raises(portproof.UsageError, match="kernel:0 in another file"):
        portproof.make_source(path)


def _datasets(group: Any) -> list[str]:
    names: list[str] = []
    group.visititems(
        lambda name, value: names.append(name) if isinstance(value, h5py.Dataset) else None
    )
    return names


def test_a_layer_that_nobody_defines_is_one_message(tmp_path: Path) -> None:
    class Own(tf_keras.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            return tf.abs(x)

    tf_keras.Sequential([Own(input_shape=(3,))]).save(tmp_path / "own.h5")
    with pytest.raises(portproof.UsageError, match=r"own\.h5 holds .*Own.*--import"):
        portproof.make_source(tmp_path / "own.h5")


@pytest.mark.parametrize("cut", [100, 1000, 5000])
def test_a_cut_file_is_one_message(dense: Path, cut: int) -> None:
    path = dense.with_suffix(".h5")
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(portproof.UsageError, match="not a whole HDF5 file"):
        portproof.make_source(path)


def test_tf_keras_gets_an_environment_where_it_is_not_installed(
    dense: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORTPROOF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", "")
    monkeypatch.setattr(PythonEnvironment, "in_place", property(lambda _: False))
    monkeypatch.setattr(sys, "path", [*sys.path])
    lines: list[str] = []
    keras2.provide_keras2([dense], lines.append)
    folder = Path(sys.path[-1])
    assert folder.is_relative_to(tmp_path / "cache")
    assert (folder / "tf_keras" / "__init__.py").is_file()
    assert not (folder / "tensorflow").exists()  # which is this process's
    assert any("setting up tf-keras" in line for line in lines)


def test_a_file_of_keras_3_needs_no_tf_keras(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PythonEnvironment, "in_place", property(lambda _: False))
    monkeypatch.setenv("PORTPROOF_CACHE", str(tmp_path / "cache"))
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save(tmp_path / "new.keras")
    keras2.provide_keras2([tmp_path / "new.keras", "a.module:function"], print)
    assert not (tmp_path / "cache").exists()
