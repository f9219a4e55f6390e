"""Where inside a model a runtime leaves the reference: on models with a fault in a known place."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import portproof
from portproof.bundle.bundle import Bundle
from portproof.bundle.errors import PortproofError, UsageError
from portproof.sources.modules import from_module
from portproof.verifying.diagnosis import Diagnosis
from tests.helpers.sources import exported
from verify.faults import architectures
from verify.faults.damage import with_format_from

PORTPROOF = os.fspath(Path(sys.executable).parent / "portproof")


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    keras.utils.clear_session()  # so that both models, and their tensors, have the same names
    source = architectures.keras_source("conv", architectures.build_model("conv"))
    return exported(source, tmp_path_factory.mktemp("right") / "conv")


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The same model with another weight in its layer `second`."""
    keras.utils.clear_session()
    model = architectures.build_model("conv")
    kernel, bias = model.get_layer("second").get_weights()
    kernel[1, 1, 2, 3] *= 1.01
    model.get_layer("second").set_weights([kernel, bias])
    source = architectures.keras_source("conv", model)
    return exported(source, tmp_path_factory.mktemp("wrong") / "conv")


def with_fault(right: Bundle, wrong: Bundle, format_: str, folder: Path) -> Bundle:
    return with_format_from(right, wrong.path, format_, folder / "conv")


def of(bundle: Bundle, runtime: str, format_: str = "", case: str = "") -> Diagnosis:
    found = list(portproof.diagnose(bundle.path, runtime, format=format_, case=case))
    return next(d for d in found if d.trial.signature_name == "serving_default")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("runtime", "format_"),
    [
        ("tensorflow", "savedmodel"),
        ("tensorflow", "checkpoint"),
        ("litert", "tflite"),
        ("litert-reference", "tflite"),
        ("tfjs-node-cpu", "tfjs-graph"),
        ("tfjs-node-wasm", "tfjs-graph"),
        ("tfjs-chromium-webgl", "tfjs-graph"),
    ],
)
def test_the_first_wrong_tensor_is_in_the_layer_that_was_changed(
    runtime: str, format_: str, right: Bundle, wrong: Bundle, tmp_path: Path
) -> None:
    found = of(with_fault(right, wrong, format_, tmp_path), runtime, format_)
    assert found.first
    assert "/second" in found.first.node.name
    assert found.first.metrics
    assert found.first.metrics.bound_ratio
    assert found.first.metrics.bound_ratio > 100
    for finding in found.entering:  # what goes into it is as it should be
        assert finding.verdict in ("exact", "faithful")
    assert found.ranges or format_ == "checkpoint" or runtime == "tensorflow"
    assert not found.agrees


@pytest.mark.parametrize("runtime", ["tensorflow", "litert", "tfjs-node-cpu", "tfjs-node-wasm"])
def test_a_right_model_agrees(runtime: str, right: Bundle) -> None:
    found = of(right, runtime, case="typical")
    assert found.agrees
    assert found.compared >= 3
    assert found.first is None


def test_what_a_runtime_refuses_is_named(tmp_path: Path) -> None:
    class Diagonal(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 3, 3], tf.float32, name="x")])
        def diagonal(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"y": tf.einsum("bii->bi", x)}

    bundle = exported(from_module("diagonal", Diagonal()), tmp_path / "diagonal")
    [found] = portproof.diagnose(bundle.path, "tfjs-node-wasm")
    assert "Einsum" in found.refused
    assert [node.op for node in found.suspects] == ["Einsum"]
    assert not found.agrees


def test_a_saved_model_of_another_graph_is_no_reference(right: Bundle, tmp_path: Path) -> None:
    keras.utils.clear_session()
    model = architectures.build_model("conv")
    model.get_layer("first").activation = keras.activations.tanh
    other = exported(architectures.keras_source("conv", model), tmp_path / "other" / "conv")
    bundle = with_fault(right, other, "savedmodel", tmp_path)
    with pytest.raises(PortproofError, match="neither the SavedModel nor the checkpoint"):
        of(bundle, "litert")


def test_an_int32_product_through_floats_is_found(bundles: dict[str, Bundle]) -> None:
    [found] = portproof.diagnose(bundles["my_module"].path, "tfjs-chromium-webgl")
    assert found.case == "edge-integer-extremes"
    assert found.first
    assert found.first.node.op == "Mul"


@pytest.mark.parametrize(
    ("runtime", "case", "said"),
    [
        ("abacus", "", "there is no runtime 'abacus'"),
        ("openvino", "", "These do: tensorflow, litert"),
        ("litert", "batch-8", "they are typical, batch-1"),
    ],
)
def test_wrong_usage(runtime: str, case: str, said: str, right: Bundle) -> None:
    with pytest.raises(UsageError, match=said):
        of(right, runtime, case=case)


def test_the_command_says_where(right: Bundle, wrong: Bundle, tmp_path: Path) -> None:
    bundle = with_fault(right, wrong, "tflite", tmp_path)
    command = [PORTPROOF, "diagnose", os.fspath(bundle.path), "--runtime", "litert-reference"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    said = done.stdout
    assert "conv tflite in litert-reference, serving_default, typical" in said
    assert "of layer second" in said
    assert "input " in said
    assert "float32[" in said
    assert "entering  " in said
    assert "leaving   off by up to" in said
    assert "Traceback" not in done.stderr


def test_zeros_are_not_the_numbers(right: Bundle) -> None:
    assert np.any(right.read(right.vectors("serving_default")[0])["reference/y"])
