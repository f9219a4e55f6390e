"""Models that used to be refused, or to come out wrong, for what an export can do."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import portproof
from portproof.bundle.errors import ExportError
from portproof.bundle.report import Report
from portproof.runtimes.table import select

RANDOM = np.random.default_rng(11)
TFJS = ["tfjs-node-cpu", "tfjs-node-wasm"]


def rows(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal((12, *shape)).astype(np.float32)


def module(function: Any, width: int = 3) -> Any:
    class Module(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec([None, width], tf.float32, name="x")])  # type: ignore[untyped-decorator]
        def f(self, x: Any) -> Any:
            return {"y": function(x)}

    return Module()


def proven(
    model: Any, folder: Path, inputs: Any, formats: list[str], runtimes: list[str]
) -> Report:
    bundle = portproof.export(model, folder, inputs=inputs, formats=formats)
    report = portproof.verify(bundle.path, runtimes=runtimes)
    assert report.ok, report.failures
    return report


def test_a_function_that_is_an_attribute_is_found(tmp_path: Path) -> None:
    class Kept(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            signature = [tf.TensorSpec([None, 3], tf.float32, name="x")]
            self.call = tf.function(lambda x: {"y": x * 2.0}, input_signature=signature)
            self.helper = tf.function(lambda x: x)  # without a signature: no concern of an export

    report = proven(Kept(), tmp_path / "kept", rows(3), ["tflite"], ["litert"])
    assert {cell.signature for cell in report.cells} == {"call"}


def test_checks_and_prints_stay_out_of_tfjs_and_tflite(tmp_path: Path) -> None:
    def checked(x: Any) -> Any:
        tf.debugging.assert_less(x, 1e9)
        tf.print("seen")
        return tf.debugging.check_numerics(x, "not finite") * 2.0

    formats = ["tfjs-graph", "tflite"]
    report = proven(module(checked), tmp_path / "m", rows(3), formats, [*TFJS, "litert"])
    notes = report.notes["m"]
    assert any("only prints" in note for note in notes["tfjs-graph"])
    assert any("only checks" in note for note in notes["tfjs-graph"])


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("sort", tf.sort),
        ("cumsum", lambda x: tf.cumsum(x, axis=1, exclusive=True)),
        ("cumsum_last", lambda x: tf.cumsum(x, axis=-1, reverse=True)),
        ("cumprod_last", lambda x: tf.math.cumprod(x, axis=-1)),
        ("one_hot", lambda x: tf.one_hot(tf.argmax(x, axis=1, output_type=tf.int32), 5)),
    ],
)
def test_ops_that_ran_in_no_tfjs_backend(name: str, function: Any, tmp_path: Path) -> None:
    proven(module(function, 5), tmp_path / name, rows(5), ["tfjs-graph"], TFJS)


def test_names_with_capital_letters(tmp_path: Path) -> None:
    """TensorFlow keeps the names of a function's specs in small letters, and no runtime does."""
    x = keras.Input((4, 3), name="ImageX")
    y = layers.Dense(2, name="LogitsY")(layers.GlobalAveragePooling1D()(x))
    model = keras.Model(x, {"LogitsY": y, "meanZ": layers.Average(name="meanZ")([y, y])})
    formats = ["keras", "tflite", "tfjs-graph", "tfjs-layers"]
    runtimes = [*TFJS, "tensorflow", "tensorflow-c", "keras", "litert", "tflite-micro", "openvino"]
    report = proven(model, tmp_path / "Capital", rows(4, 3), formats, runtimes)
    assert {cell.output for cell in report.cells} >= {"LogitsY", "meanZ", "loss"}


def test_erf_is_written_for_tflite(tmp_path: Path) -> None:
    report = proven(module(tf.math.erf), tmp_path / "m", rows(3), ["tflite"], ["litert"])
    assert any("Erf" in note for note in report.notes["m"]["tflite"])


def test_a_pool_of_negative_windows_in_three_dimensions(tmp_path: Path) -> None:
    x = keras.Input((6, 6, 6, 2))
    model = keras.Model(x, layers.MaxPooling3D(2, padding="same")(x))
    data = -np.abs(rows(6, 6, 6, 2)) - 1
    formats, runtimes = ["tfjs-graph", "tflite"], [*TFJS, "litert", "tflite-micro"]
    proven(model, tmp_path / "pool", data, formats, runtimes)


def test_a_bidirectional_simple_rnn_in_tfjs_layers(tmp_path: Path) -> None:
    x = keras.Input((5, 3))
    model = keras.Model(x, layers.Bidirectional(layers.SimpleRNN(4))(x))
    proven(model, tmp_path / "rnn", rows(5, 3), ["tfjs-layers"], TFJS)


@keras.saving.register_keras_serializable("test")
class Configured(keras.Model):  # type: ignore[misc]
    """A functional model as libraries of models write theirs: with a configuration of its own."""

    def __init__(self, units: int, **options: Any) -> None:
        x = keras.Input((3,), name="x")
        super().__init__(inputs=x, outputs=layers.Dense(units)(x), **options)
        self.units = units

    def get_config(self) -> dict[str, Any]:
        return {"units": self.units, "name": self.name}


def test_a_functional_model_with_its_own_configuration_in_tfjs_layers(tmp_path: Path) -> None:
    proven(Configured(4), tmp_path / "m", rows(3), ["tfjs-layers"], ["tfjs-node-cpu"])


@pytest.mark.parametrize("module", ["keras.layers", "keras.src.layers.new_in_keras_99"])
def test_a_layer_that_a_version_of_keras_does_not_have_is_lacking(module: str) -> None:
    newer: dict[str, Any] = {
        "class_name": "NewLayer",
        "config": {},
        "module": module,
        "registered_name": None,
    }
    with pytest.raises((TypeError, ValueError)) as raised:
        keras.saving.deserialize_keras_object(newer)
    [runtime] = select(["keras"], [])
    assert runtime.lack_in(str(raised.value)) == "NewLayer"


def test_pytorch_has_no_trainable_weights_of_integers() -> None:
    said = "RuntimeError: Only Tensors of floating point and complex dtype can require gradients"
    [runtime] = select(["keras-torch"], [])
    assert runtime.lack_in(said) == "trainable weights of integers"


@keras.saving.register_keras_serializable("test")
class Sized(layers.Layer):  # type: ignore[misc]
    def call(self, x: Any) -> Any:
        return x * float(len(range(keras.ops.shape(x)[1])))

    def compute_output_spec(self, x: Any) -> Any:
        return keras.KerasTensor(x.shape, x.dtype)


def test_a_layer_that_needs_a_size_as_a_number_is_told_so(tmp_path: Path) -> None:
    x = keras.Input((None,), name="x")
    with pytest.raises(ExportError, match=r"x \[None, None\].*give keras.Input that size"):
        portproof.export(keras.Model(x, Sized()(x)), tmp_path / "m", formats=["savedmodel"])


def test_a_class_of_another_package_keeps_a_model_out_of_keras_files(tmp_path: Path) -> None:
    model = Configured(4)
    model.__class__.__module__ = "keras_extra.models"  # a name that begins like Keras's own
    with pytest.raises(ExportError, match="which Keras does not have"):
        portproof.export(model, tmp_path / "m", inputs=rows(3), formats=["keras"])


def test_an_einsum_with_an_ellipsis(tmp_path: Path) -> None:
    weights = tf.constant(RANDOM.standard_normal((3, 4)), tf.float32)
    product = module(lambda x: tf.einsum("...a,ab->...b", x, weights))
    proven(product, tmp_path / "einsum", rows(3), ["tfjs-graph"], TFJS)


def test_one_array_is_the_only_input_whatever_its_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", anything=rows(3))
    with np.load(tmp_path / "data.npz") as data:
        inputs = dict(data)
    bundle = portproof.export(module(tf.abs), tmp_path / "m", inputs=inputs, formats=["tflite"])
    assert not bundle.manifest.generated_inputs


def test_a_model_is_named_after_its_path(tmp_path: Path) -> None:
    bundle = portproof.export(module(tf.abs), tmp_path / "my_name", formats=["tflite"])
    assert bundle.manifest.model == "my_name"


@pytest.mark.parametrize("stateless", [False, True])
def test_a_model_that_draws_random_numbers_is_told_so(stateless: bool, tmp_path: Path) -> None:
    def drawn(x: Any) -> Any:
        return x + tf.random.normal(tf.shape(x))

    model: Any = module(drawn)
    if stateless:  # a seed that each call changes, as Keras has it

        class Noisy(layers.Layer):
            def __init__(self) -> None:
                super().__init__()
                self.seed = keras.random.SeedGenerator(1)

            def call(self, x: Any) -> Any:
                return x + keras.random.normal((3,), seed=self.seed)

        x = keras.Input((3,))
        model = keras.Model(x, Noisy()(x))
    with pytest.raises(portproof.ExportError, match="draws random numbers"):
        portproof.export(model, tmp_path / "random", inputs=rows(3))
    assert not (tmp_path / "random").exists()


def test_an_output_of_another_size_than_its_shape_is_wrong(tmp_path: Path) -> None:
    """The writer of the JavaScript runners says how many values there are."""
    import subprocess

    from portproof.bundle import tensors
    from portproof.runtimes import javascript
    from portproof.runtimes.environments.node import node

    script = (
        "const { serialize } = await import(process.argv[1]);"
        'const { writeFileSync } = await import("node:fs");'
        "const data = new Float32Array(12);"
        'writeFileSync(process.argv[2], serialize({ y: { dtype: "F32", shape: [3, 5], data } }));'
    )
    module_address = (javascript.FOLDER / "safetensors.mjs").as_uri()
    command = [str(node()), "--input-type=module", "-e", script, module_address, "out.safetensors"]
    subprocess.run(command, cwd=tmp_path, check=True)
    assert tensors.read(tmp_path / "out.safetensors")["y"].shape == (12,)
