"""The noise that each layer of a variant adds by itself: `portproof diagnose` of a variant."""

import json
from collections.abc import Sequence
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import flatbuffers
import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from keras import layers
from rich.console import Console

import portproof
from portproof.bundle.bundle import Bundle, write_manifest
from portproof.bundle.digest import file_record
from portproof.bundle.tensors import Arrays
from portproof.exporting import export_source
from portproof.formats.table import select
from portproof.reporting.diagnosis_text import render
from portproof.reporting.model_explorer import write_node_data
from portproof.runtimes.protocol import Node
from portproof.sources.source import Source
from portproof.verifying.diagnosis import Diagnosis, LayerNoise
from portproof.verifying.noise import noise_of_layers, signal_to_noise

INT8 = "tflite int8"


def model_source() -> Source:
    """A convolution with a normalisation, a layer that is called twice, and two outputs."""
    random = np.random.default_rng(5)
    image = keras.Input((12, 12, 3), name="image")
    hidden = layers.Conv2D(8, 3, name="stem")(image)
    hidden = layers.BatchNormalization(name="norm")(hidden)
    hidden = layers.ReLU(name="act")(hidden)
    hidden = layers.Conv2D(8, 3, activation="relu", name="second")(hidden)
    hidden = layers.GlobalAveragePooling2D(name="mean")(hidden)
    twice = layers.Dense(8, activation="tanh", name="twice")
    hidden = twice(layers.Add(name="sum")([twice(hidden), hidden]))
    outputs = {"y": layers.Dense(4, name="y")(hidden), "z": layers.Dense(2, name="z")(hidden)}
    model = keras.Model(image, outputs, name="noisy")
    for variable, value in zip(model.weights, model.get_weights(), strict=True):
        drawn = random.normal(0, 0.4, value.shape)
        variable.assign(0.5 + np.abs(drawn) if "variance" in variable.path else drawn)
    data = random.normal(size=(24, 12, 12, 3)).astype(np.float32)
    return portproof.make_source(model, inputs={"image": data})


def exported(source: Source, path: Path) -> Bundle:
    return export_source(source, path, formats=select(("tflite", INT8)), required=(INT8,))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return exported(model_source(), tmp_path_factory.mktemp("noise") / "noisy")


def diagnosis_of(path: Path, runtime: str = "litert") -> Diagnosis:
    [diagnosis] = portproof.diagnose(path, runtime, format=INT8)
    return diagnosis


@pytest.fixture(scope="module")
def diagnosis(bundle: Bundle) -> Diagnosis:
    return diagnosis_of(bundle.path)


def noise_of(diagnosis: Diagnosis, layer: str) -> LayerNoise:
    [noise] = [noise for noise in diagnosis.noise if layer in noise.layers]
    return noise


def test_every_layer_that_computes_is_listed_once_with_what_is_fused_with_it(
    diagnosis: Diagnosis,
) -> None:
    assert diagnosis.agrees
    assert {noise.layers for noise in diagnosis.noise} == {
        ("stem", "norm", "act"),
        ("second",),
        ("mean",),
        ("twice",),
        ("sum",),
        ("y",),
        ("z",),
    }
    assert [noise.loudest for noise in diagnosis.noise] == sorted(
        noise.loudest for noise in diagnosis.noise
    )


def test_a_layer_is_not_noisy_in_an_output_that_is_not_made_of_it(diagnosis: Diagnosis) -> None:
    assert noise_of(diagnosis, "y").sqnr["z"] == np.inf
    assert noise_of(diagnosis, "z").sqnr["y"] == np.inf
    assert noise_of(diagnosis, "y").sqnr["y"] < 80


def test_the_layers_powers_add_up_to_that_of_all(diagnosis: Diagnosis) -> None:
    """As noises do that know nothing of each other: within 3 dB, a factor of two."""
    for output, whole in diagnosis.whole.items():
        power = sum(10 ** (-noise.sqnr[output] / 10) for noise in diagnosis.noise)
        assert -10 * np.log10(power) == pytest.approx(whole, abs=3)


def test_the_noise_of_an_onnx_files_layers(tmp_path: Path) -> None:
    """Whose tensors have their channels first, and are quantised and given back in the graph."""
    formats = select(("onnx", "onnx int8"))
    bundle = export_source(model_source(), tmp_path / "noisy", formats=formats)
    plain, int8 = portproof.diagnose(bundle.path, "onnxruntime")
    assert plain.agrees
    assert plain.compared > 10
    assert {"stem", "second", "mean", "twice", "sum", "y", "z"} <= {
        layer for noise in int8.noise for layer in noise.layers
    }
    for output, whole in int8.whole.items():
        power = sum(10 ** (-noise.sqnr[output] / 10) for noise in int8.noise)
        assert -10 * np.log10(power) == pytest.approx(whole, abs=3)


def test_layers_that_are_kept_in_floats_add_no_noise(diagnosis: Diagnosis, tmp_path: Path) -> None:
    """But for float32's own, which is some 140 dB down. The rest of the model is as noisy."""
    source = replace(model_source(), keep_float=("y", "z"))
    kept = diagnosis_of(exported(source, tmp_path / "noisy").path)
    for output in ("y", "z"):
        assert noise_of(kept, output).sqnr[output] > 100
        assert kept.whole[output] > diagnosis.whole[output]


def test_a_layer_with_damaged_weights_is_the_first(bundle: Bundle, tmp_path: Path) -> None:
    damaged = with_noisy_weights(bundle, "second", tmp_path / "noisy")
    diagnosis = diagnosis_of(damaged)
    assert diagnosis.noise[0].layers == ("second",)
    assert not diagnosis.passes
    assert not diagnosis.agrees
    assert "its outputs are not what it declares of itself" in text_of(diagnosis)


def with_noisy_weights(bundle: Bundle, layer: str, path: Path) -> Path:
    """The bundle with other int8 weights in a convolution of its int8 file."""
    manifest = bundle.manifest
    artifact = next(a for a in manifest.artifacts if a.name == INT8)
    for file in manifest.files:
        (path / file.path).parent.mkdir(parents=True, exist_ok=True)
        (path / file.path).write_bytes((bundle.path / file.path).read_bytes())
    for file in artifact.files:
        model = schema.ModelT.InitFromObj(
            schema.Model.GetRootAs((path / file.path).read_bytes(), 0)
        )
        [graph] = model.subgraphs
        weights = next(
            graph.tensors[operator.inputs[1]]
            for operator in graph.operators
            if f"/{layer}" in graph.tensors[operator.outputs[0]].name.decode()
        )
        data = model.buffers[weights.buffer].data
        model.buffers[weights.buffer].data = np.roll(data, 1)
        builder = flatbuffers.Builder()
        builder.Finish(model.Pack(builder), b"TFL3")
        (path / file.path).write_bytes(bytes(builder.Output()))
    files = tuple(file_record(path, file.path) for file in artifact.files)
    changed = artifact.model_copy(update={"files": files})
    artifacts = tuple(changed if a is artifact else a for a in manifest.artifacts)
    write_manifest(path, manifest.model_copy(update={"artifacts": artifacts}))
    return path


def text_of(diagnosis: Diagnosis, width: int = 80) -> str:
    out = StringIO()
    Console(file=out, width=width).print(render(diagnosis))
    return out.getvalue()


def test_a_person_reads_what_to_keep(diagnosis: Diagnosis) -> None:
    text = text_of(diagnosis)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) < 20
    first = diagnosis.noise[0]
    keep = " ".join(f"--keep-float {layer}" for layer in first.layers)
    assert f"portproof export ... {keep}" in " ".join(text.split())
    assert "stem + norm + act" in text
    assert f"{first.sqnr['y']:.1f}" in text


def test_model_explorer_gets_it_by_the_tensors_of_the_file(
    bundle: Bundle, diagnosis: Diagnosis, tmp_path: Path
) -> None:
    paths = write_node_data(diagnosis, tmp_path)
    assert [path.name for path in paths] == [
        f"tflite_int8-serving_default-litert-signal-to-noise-of-{name}.json" for name in "yz"
    ]
    artifact = next(a for a in bundle.manifest.artifacts if a.name == INT8)
    content = bundle.artifact_path(artifact.endpoints["serving_default"].path).read_bytes()
    graph = schema.Model.GetRootAs(content, 0).Subgraphs(0)
    names = {graph.Tensors(n).Name().decode() for n in range(graph.TensorsLength())}
    results = json.loads(paths[0].read_text())["results"]
    assert set(results) <= names
    assert any("/second" in name for name in results)


def test_a_model_without_layers_is_told_of_by_its_scopes(tmp_path: Path) -> None:
    random = np.random.default_rng(2)

    class Module(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = tf.Variable(random.normal(size=(16, 16)).astype(np.float32))
            self.last = tf.Variable(random.normal(size=(16, 4)).astype(np.float32))

        @tf.function(input_signature=[tf.TensorSpec([None, 16], tf.float32, name="x")])
        def serve(self, x: Any) -> dict[str, Any]:
            with tf.name_scope("encode"):
                code = tf.tanh(tf.matmul(x, self.first))
            with tf.name_scope("decode"):
                return {"y": tf.matmul(code, self.last)}

    data = random.normal(size=(24, 16)).astype(np.float32)
    source = portproof.make_source(Module(), name="plain", signatures=["serve"], inputs={"x": data})
    diagnosis = diagnosis_of(exported(source, tmp_path / "plain").path, "litert-reference")
    assert {noise.layers for noise in diagnosis.noise} == {("encode",), ("decode",)}


def test_integer_outputs_have_no_noise_and_cost_the_others_nothing(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    x = keras.Input((16,), name="x")
    code = layers.Dense(16, activation="tanh", name="code")(x)
    chosen = keras.ops.cast(layers.Dense(4, name="class")(code), "int32")
    model = keras.Model(x, {"chosen": chosen, "y": layers.Dense(2, name="y")(code)}, name="both")
    data = random.normal(size=(24, 16)).astype(np.float32)
    source = portproof.make_source(model, inputs={"x": data})
    diagnosis = diagnosis_of(exported(source, tmp_path / "both").path)
    assert set(diagnosis.whole) == {"y"}
    assert {noise.layers[-1] for noise in diagnosis.noise if noise.loudest < np.inf} == {
        "code",
        "y",
    }


def test_what_ruins_an_output_is_the_first_and_not_left_out(diagnosis: Diagnosis) -> None:
    assert signal_to_noise(np.array([1.0, 2.0]), np.array([1.0, np.inf])) == -np.inf
    assert signal_to_noise(np.array([1.0, 2.0]), np.array([1.0, np.nan])) == -np.inf
    ruined = LayerNoise(("stem",), (), {"y": -np.inf, "z": 50.0})
    text = text_of(replace(diagnosis, noise=(ruined, *diagnosis.noise)))
    assert text.index("-inf") < text.index("together")


def test_a_layers_noise_is_carried_on_once_where_it_is_called_again() -> None:
    """y = (x + e) + (x + e) of a layer that adds: its noise is that of all."""
    nodes = [
        Node(name="x", op="Placeholder", inputs=()),
        Node(name="l/a", op="Add", inputs=("x",)),
        Node(name="l/b", op="Add", inputs=("l/a",)),
        Node(name="out/y", op="Add", inputs=("l/a", "l/b")),
    ]

    def evaluate(asked: Sequence[str], fed: Arrays) -> Arrays:
        known = {"x": np.ones(4), **fed}
        known.setdefault("l/a", known["x"] + 1)
        known.setdefault("l/b", known["l/a"] + 1)
        known.setdefault("out/y", known["l/a"] + known["l/b"])
        return {name: known[name] for name in asked}

    names = ["l/a", "l/b", "out/y"]
    right = evaluate(names, {})
    got = evaluate(names, {"l/a": right["l/a"] + 0.01})
    [noise] = noise_of_layers(nodes, ["l", "out"], right, got, {"y": "out/y"}, {}, evaluate)[:1]
    assert noise.layers == ("l",)
    assert noise.sqnr["y"] == pytest.approx(signal_to_noise(right["out/y"], got["out/y"]))
