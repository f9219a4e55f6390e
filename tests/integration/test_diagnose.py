"""Diagnosis locates where a runtime departs from the reference, in models with a known fault."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.schema_py_generated import Model

import portproof
from portproof.bundle.bundle import PAGE, REPORT, Bundle
from portproof.bundle.errors import PortproofError, UsageError
from portproof.bundle.report import Report
from portproof.bundle.verdicts import PASSING
from portproof.reporting.model_explorer import write_node_data
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


def diagnosis_of(bundle: Bundle, runtime: str, format_: str = "", case: str = "") -> Diagnosis:
    diagnoses = list(portproof.diagnose(bundle.path, runtime, format=format_, case=case))
    return next(d for d in diagnoses if d.trial.signature_name == "serving_default")


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
    diagnosis = diagnosis_of(with_fault(right, wrong, format_, tmp_path), runtime, format_)
    assert diagnosis.first
    assert "/second" in diagnosis.first.node.name
    assert diagnosis.first.metrics
    assert diagnosis.first.metrics.bound_ratio
    assert diagnosis.first.metrics.bound_ratio > 100
    for finding in diagnosis.entering:  # its inputs are right
        assert finding.verdict in ("exact", "faithful")
    assert diagnosis.ranges or format_ == "checkpoint" or runtime == "tensorflow"
    assert not diagnosis.agrees


@pytest.mark.parametrize("runtime", ["tensorflow", "litert", "tfjs-node-cpu", "tfjs-node-wasm"])
def test_a_right_model_agrees_with_the_reference(runtime: str, right: Bundle) -> None:
    diagnosis = diagnosis_of(right, runtime, case="typical")
    assert diagnosis.agrees
    assert diagnosis.compared >= 3
    assert diagnosis.first is None


def test_model_explorer_gets_a_figure_for_each_tensor_of_the_file(
    right: Bundle, wrong: Bundle, tmp_path: Path
) -> None:
    bundle = with_fault(right, wrong, "tflite", tmp_path)
    diagnosis = diagnosis_of(bundle, "litert", "tflite")
    paths = write_node_data(diagnosis, tmp_path / "data")
    figures = {path.stem.removeprefix(f"{_STEM}-"): json.loads(path.read_text()) for path in paths}
    assert set(figures) == {"share-of-bound", "share-of-bound-before", "error", "range", "verdict"}
    shares = {name: entry["value"] for name, entry in figures["share-of-bound"]["results"].items()}
    [path] = {
        e.path
        for a in bundle.manifest.artifacts
        if a.name == "tflite"
        for e in a.endpoints.values()
    }
    assert set(shares) <= all_tensors(bundle.artifact_path(path))
    assert "StatefulPartitionedCall:0" in shares  # the output, which has another name in the graph
    wrong_ones = [name for name, share in shares.items() if share > 100]
    assert wrong_ones
    assert all("/first" not in name for name in wrong_ones)
    [second] = [name for name in wrong_ones if "/second" in name]
    assert figures["verdict"]["results"][second] == {"value": "wrong"}
    assert figures["share-of-bound-before"]["results"][second]["value"] <= 1
    assert "float32[" in figures["range"]["results"][second]["value"]


_STEM = "tflite-serving_default-litert"


def all_tensors(file: Path) -> set[str]:
    """The names of all tensors in a `.tflite` file, as Model Explorer's own reader has them."""
    model = Model.GetRootAs(file.read_bytes())
    graphs = [model.Subgraphs(n) for n in range(model.SubgraphsLength())]
    return {g.Tensors(n).Name().decode() for g in graphs for n in range(g.TensorsLength())}


def test_an_op_that_a_runtime_refuses_is_named(tmp_path: Path) -> None:
    class Diagonal(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 3, 3], tf.float32, name="x")])
        def diagonal(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"y": tf.einsum("bii->bi", x)}

    bundle = exported(from_module("diagonal", Diagonal()), tmp_path / "diagonal")
    [diagnosis] = portproof.diagnose(bundle.path, "tfjs-node-wasm")
    assert "Einsum" in diagnosis.refused
    assert [node.op for node in diagnosis.suspects] == ["Einsum"]
    assert not diagnosis.agrees


def test_a_saved_model_of_another_graph_cannot_be_the_reference(
    right: Bundle, tmp_path: Path
) -> None:
    keras.utils.clear_session()
    model = architectures.build_model("conv")
    model.get_layer("first").activation = keras.activations.tanh
    other = exported(architectures.keras_source("conv", model), tmp_path / "other" / "conv")
    bundle = with_fault(right, other, "savedmodel", tmp_path)
    with pytest.raises(PortproofError, match="neither the SavedModel nor the checkpoint"):
        diagnosis_of(bundle, "litert")


def test_an_int32_product_computed_in_floats_is_located(bundles: dict[str, Bundle]) -> None:
    [diagnosis] = portproof.diagnose(bundles["my_module"].path, "tfjs-chromium-webgl")
    assert diagnosis.case == "edge-integer-extremes"
    assert diagnosis.first
    assert diagnosis.first.node.op == "Mul"


@pytest.mark.parametrize(
    ("runtime", "case", "message"),
    [
        ("abacus", "", "there is no runtime 'abacus'"),
        ("openvino", "", "These do: tensorflow, litert"),
        ("litert", "batch-8", "they are typical, batch-1"),
    ],
)
def test_wrong_usage_is_an_error(runtime: str, case: str, message: str, right: Bundle) -> None:
    with pytest.raises(UsageError, match=message):
        diagnosis_of(right, runtime, case=case)


def test_the_command_prints_where_the_numbers_differ(
    right: Bundle, wrong: Bundle, tmp_path: Path
) -> None:
    bundle = with_fault(right, wrong, "tflite", tmp_path)
    command = [PORTPROOF, "diagnose", os.fspath(bundle.path), "--runtime", "litert-reference"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    stdout = done.stdout
    assert "conv tflite in litert-reference, serving_default, typical" in stdout
    assert "of layer second" in stdout
    assert "input " in stdout
    assert "float32[" in stdout
    assert "entering  " in stdout
    assert "leaving   off by up to" in stdout
    assert "Traceback" not in done.stderr


def test_the_page_of_a_wrong_artifact_shows_the_error_along_the_graph(
    right: Bundle, wrong: Bundle, tmp_path: Path
) -> None:
    bundle = with_fault(right, wrong, "tflite", tmp_path)
    command = [PORTPROOF, "diagnose", os.fspath(bundle.path), "--runtime", "litert-reference"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "drawn in" not in done.stdout  # there is no page yet
    assert not (bundle.path / PAGE).exists()
    assert portproof.verify(bundle.path, runtimes=["litert-reference"]).exit_status == 1
    for _ in range(2):  # the second replaces the first
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert f"drawn in {bundle.path / PAGE}" in "".join(done.stdout.splitlines())
    [errors] = Report.model_validate_json((bundle.path / REPORT).read_text()).graph_errors
    assert errors.first is not None
    first = errors.tensors[errors.first]
    assert first.layer == "second"
    assert first.bound_ratio
    assert first.bound_ratio > 100
    assert all(tensor.verdict in PASSING for tensor in errors.tensors[: errors.first])
    page = (bundle.path / PAGE).read_text()
    [section] = re.findall(r"<h2>Along the graph</h2>(.*?)</section>", page, flags=re.DOTALL)
    assert "<b>tflite in litert-reference</b>" in section
    assert ">second</text>" in section
    assert len(re.findall(r'<use [^>]*style="fill: var\(--series-[01]\)', section)) == len(
        errors.tensors
    )


def test_the_reference_outputs_are_not_all_zero(right: Bundle) -> None:
    assert np.any(right.read(right.vectors("serving_default")[0])["reference/y"])
