"""ONNX files: their names, their checker, and the runtimes that load them."""

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import pytest
import tensorflow as tf

import portproof
from portproof.bundle.bundle import Bundle
from portproof.exporting import export_source
from portproof.formats import onnx as onnx_format
from portproof.formats.table import FORMATS, select
from verify.faults.damage import rewrite_manifest

RUNTIMES = (
    "onnxruntime",
    "onnxruntime-node",
    "onnxruntime-chromium-wasm",
    "onnxruntime-chromium-webgpu",
    "openvino",
)


def test_an_onnx_file_has_the_signatures_own_names(bundles: dict[str, Bundle]) -> None:
    bundle = bundles["quadratic_keras"]
    model = onnx.load(bundle.path / "onnx" / "serving_default.onnx")
    onnx.checker.check_model(model, full_check=True)
    signature = bundle.manifest.signatures["serving_default"]
    assert [put.name for put in model.graph.input] == list(signature.inputs)
    assert [put.name for put in model.graph.output] == list(signature.outputs)


@pytest.mark.parametrize("name", ["quadratic", "my_module", "quadratic_keras"])
def test_every_runtime_of_onnx_proves_it(
    bundles: dict[str, Bundle], tmp_path: Path, name: str
) -> None:
    bundle = shutil.copytree(bundles[name].path, tmp_path / name)
    report = portproof.verify(bundle, runtimes=list(RUNTIMES))
    cells = [c for c in report.cells if c.full_format == "onnx" and c.regime != "edge"]
    assert {cell.runtime for cell in cells} == set(RUNTIMES)
    assert {cell.verdict for cell in cells} <= {"exact", "faithful"}
    assert report.ok


def test_a_confident_no_of_a_sigmoid_is_faithful(tmp_path: Path) -> None:
    """ONNX Runtime computes 1/2 and a function near -1/2: below 1e-8 it has no digit of it."""

    class Answer(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 8], tf.float32, name="x")])
        def serve(self, x: Any) -> dict[str, Any]:
            return {"yes": tf.sigmoid(x)}

    x = np.linspace(-40, 5, 256, dtype=np.float32).reshape(32, 8)
    bundle = portproof.export(
        Answer(), tmp_path / "answer", signatures=["serve"], inputs={"x": x}, formats=["onnx"]
    )
    report = portproof.verify(bundle.path, runtimes=["onnxruntime", "onnxruntime-chromium-wasm"])
    cells = [cell for cell in report.cells if cell.regime == "typical"]
    assert {(cell.runtime, cell.verdict) for cell in cells} == {
        ("onnxruntime", "faithful"),
        ("onnxruntime-chromium-wasm", "faithful"),
    }
    # Of what is allowed there is little: a float16's rounding of an undecided answer is wrong.
    [vector, *_] = bundle.vectors("serve")
    assert bundle.read(vector)["rounding/yes"].max() < 2.0**-12


def test_variants_declare_an_error_and_keep_it(bundles: dict[str, Bundle], tmp_path: Path) -> None:
    """Both claims: what ONNX Runtime's plain kernels give, and what is left of the model."""
    bundle = shutil.copytree(bundles["quadratic_keras"].path, tmp_path / "quadratic_keras")
    manifest = bundles["quadratic_keras"].manifest
    budgets = {a.variant: a.budgets for a in manifest.artifacts if a.format == "onnx"}
    assert budgets["float16"]["serving_default"]["y"].sqnr
    assert budgets["int8"]["serving_default"]["y"].lsb == 5
    report = portproof.verify(bundle, runtimes=["onnxruntime", "onnxruntime-node"])
    verdicts = {c.variant: c.verdict for c in report.cells if c.regime != "edge"}
    assert verdicts == {"": "faithful", "float16": "close", "int8": "close"}


def test_a_weight_that_is_off_in_int8_is_caught(bundles: dict[str, Bundle], tmp_path: Path) -> None:
    bundle = shutil.copytree(bundles["quadratic_keras"].path, tmp_path / "quadratic_keras")
    path = bundle / "onnx-int8" / "serving_default.onnx"
    model = onnx.load(path)
    name = "y_1/Cast/ReadVariableOp:0_scale"
    [scale] = [tensor for tensor in model.graph.initializer if tensor.name.endswith(name)]
    off = onnx.numpy_helper.to_array(scale) * np.float32(1.1)
    scale.CopyFrom(onnx.numpy_helper.from_array(off, scale.name))
    onnx.save(model, path)
    rewrite_manifest(bundle, bundles["quadratic_keras"].manifest)
    report = portproof.verify(bundle, runtimes=["onnxruntime"])
    wrong = {
        cell.variant for cell in report.cells if cell.verdict == "wrong" and cell.regime != "edge"
    }
    assert wrong == {"int8"}


class OneTensorTwice(tf.Module):  # type: ignore[misc]
    """Two outputs that are one tensor, and one that is the input."""

    @tf.function(input_signature=[tf.TensorSpec((None, 2), tf.float32, name="x")])
    def __call__(self, x: Any) -> Any:
        doubled = 2.0 * x
        return {"first": doubled, "second": doubled, "same": x}


class Unknown(tf.Module):  # type: ignore[misc]
    @tf.function(input_signature=[tf.TensorSpec((None, 4), tf.float32, name="x")])
    def __call__(self, x: Any) -> Any:
        return {"y": tf.math.special.bessel_j0(x)}


def exported(model: tf.Module, folder: Path, width: int) -> Bundle:
    inputs = {"x": np.random.default_rng(1).normal(size=(8, width)).astype(np.float32)}
    formats = [format_ for format_ in FORMATS if format_.full_name in ("savedmodel", "onnx")]
    source = portproof.make_source(model, inputs=inputs)
    return export_source(source, folder / "model", formats=formats)


def test_outputs_that_are_one_tensor_are_two_of_a_file(tmp_path: Path) -> None:
    bundle = exported(OneTensorTwice(), tmp_path, 2)
    report = portproof.verify(bundle.path, runtimes=["onnxruntime"])
    assert {cell.output for cell in report.cells} == {"first", "second", "same"}
    assert {cell.verdict for cell in report.cells if cell.regime != "edge"} == {"exact"}


def test_an_op_that_tf2onnx_does_not_know_is_named(tmp_path: Path) -> None:
    bundle = exported(Unknown(), tmp_path, 4)
    assert "onnx" not in {artifact.format for artifact in bundle.manifest.artifacts}
    [left_out] = bundle.manifest.left_out
    assert left_out.format == "onnx"
    assert "BesselJ0" in left_out.reason


def test_weights_that_no_file_has_room_for_lie_beside_it(tmp_path: Path) -> None:
    """Above 2 GB; here above nothing. Two signatures' files are beside each other."""
    random = np.random.default_rng(3)
    image = keras.Input((8, 8, 64), name="image")
    hidden = keras.layers.Conv2D(512, 3, activation="gelu")(image)
    hidden = keras.layers.GlobalAveragePooling2D()(hidden)
    model = keras.Model(image, keras.layers.Dense(600, name="y")(hidden))
    source = portproof.make_source(
        model,
        name="large",
        inputs={"image": random.normal(size=(4, 8, 8, 64)).astype(np.float32)},
    )
    formats = [
        replace(format_, write=partial(onnx_format.write, variant=format_.variant, largest=0))
        if format_.name == "onnx"
        else format_
        for format_ in select(("onnx", "onnx float16"))
    ]
    bundle = export_source(source, tmp_path / "large", formats=formats)
    [artifact] = [a for a in bundle.manifest.artifacts if a.format == "onnx"]
    sizes = {Path(file.path).suffix: file.size for file in artifact.files}
    assert sizes[".onnx"] < 100_000 < sizes[".data"]
    assert [entry.format for entry in bundle.manifest.left_out] == ["onnx float16"]
    runtimes = ["onnxruntime", "onnxruntime-node", "onnxruntime-chromium-wasm", "openvino"]
    report = portproof.verify(bundle.path, runtimes=runtimes)
    assert report.ok, report.failures
    assert {cell.runtime for cell in report.cells if cell.format == "onnx"} == set(runtimes)
