"""Files that other tools wrote, whole and damaged, checked against the models they were made of."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import flatbuffers
import keras
import numpy as np
import onnx
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

import portproof
from portproof.bundle import tensors
from portproof.bundle.bundle import Bundle
from portproof.bundle.errors import PortproofError, UsageError
from portproof.bundle.report import Report
from portproof.publishing.release import STATEMENT
from tests.helpers import official_tfjs


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model and what the converters make of it, by none of our code."""
    folder = tmp_path_factory.mktemp("files")
    image = keras.Input((8, 8, 3), name="image")
    hidden = keras.layers.Conv2D(4, 3, activation="relu")(image)
    hidden = keras.layers.Flatten()(keras.layers.MaxPooling2D()(hidden))
    outputs = {
        "kind": keras.layers.Dense(5, activation="softmax", name="kind")(hidden),
        "place": keras.layers.Dense(2, bias_initializer="normal", name="place")(hidden),
        "size": keras.layers.Dense(2, bias_initializer="normal", name="size")(hidden),
    }
    model = keras.Model(image, outputs)
    # Not by a seed of TensorFlow's, which all later tests of this process would have too.
    rng = np.random.default_rng(3)
    model.set_weights([0.3 * rng.normal(size=weight.shape) for weight in model.get_weights()])
    model.save(folder / "model.keras")
    rows = np.random.default_rng(0).normal(size=(40, 8, 8, 3)).astype(np.float32)
    np.savez(folder / "rows.npz", image=rows)
    model.export(folder / "saved", verbose=False)
    (folder / "model.tflite").write_bytes(tflite(folder / "saved"))
    (folder / "int8.tflite").write_bytes(tflite(folder / "saved", rows))
    to_onnx(folder, "model.onnx")
    to_onnx(folder, "channels_first.onnx", "--inputs-as-nchw", "image")
    official_tfjs.convert(folder / "saved", "serving_default", folder / "web")
    return folder


def tflite(saved: Path, rows: np.ndarray | None = None) -> bytes:
    """What TensorFlow's converter writes; with rows, in integers from end to end."""
    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved))
    if rows is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([rows[n : n + 1]] for n in range(len(rows)))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    content: bytes = converter.convert()
    return content


def to_onnx(folder: Path, name: str, *words: str) -> None:
    """What tf2onnx writes from its own command line."""
    command = [sys.executable, "-m", "tf2onnx.convert", "--saved-model", folder / "saved"]
    command += ["--output", folder / name, *words]
    subprocess.run(list(map(str, command)), check=True, capture_output=True)


def checked(
    files: Path,
    name: str,
    tmp_path: Path,
    *runtimes: str,
    names: Mapping[str, str] | None = None,
    log: Callable[[str], None] = print,
) -> Report:
    return portproof.check(
        files / name,
        files / "model.keras",
        inputs=files / "rows.npz",
        names=names,
        folder=tmp_path,
        runtimes=runtimes,
        trust=True,
        log=log,
    )


def verdicts(report: Report) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for cell in report.cells:
        if cell.regime != "edge":
            found.setdefault(cell.output, set()).add(cell.verdict)
    return found


@pytest.mark.parametrize(
    ("name", "runtime", "passing"),
    [
        ("model.tflite", "litert", "faithful"),
        ("int8.tflite", "litert-reference", "close"),
        ("model.onnx", "onnxruntime", "faithful"),
        ("channels_first.onnx", "onnxruntime-node", "faithful"),
        ("web", "tfjs-node-cpu", "faithful"),
        ("saved", "tensorflow-c", "exact"),
    ],
)
def test_what_a_converter_wrote_is_proven(
    files: Path, tmp_path: Path, name: str, runtime: str, passing: str
) -> None:
    before = (files / name).read_bytes() if (files / name).is_file() else b""
    # TensorFlow.js's converter gives all outputs but one of them other names.
    names = {"place": "Identity_1:0", "size": "Identity_2:0"} if name == "web" else {}
    report = checked(files, name, tmp_path, runtime, names=names)
    assert report.ok
    assert {v for found in verdicts(report).values() for v in found} <= {"exact", passing}
    assert {cell.runtime for cell in report.cells} == {runtime}
    if before:
        [copy] = tmp_path.rglob(name)
        assert copy.read_bytes() == before


def test_what_is_not_the_same_is_said(files: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    checked(files, "channels_first.onnx", tmp_path, "onnxruntime", log=lines.append)
    assert any("image is in another form there: axes [0, 3, 1, 2]" in line for line in lines)
    [folder] = tmp_path.iterdir()
    [artifact] = [a for a in Bundle.open(folder).manifest.artifacts if a.format == "onnx"]
    assert any("axes [0, 3, 1, 2]" in note for note in artifact.notes)


def changed_onnx(files: Path, name: str, change: Callable[[onnx.ModelProto], None]) -> str:
    model = onnx.load(files / "model.onnx")
    change(model)
    onnx.save(model, files / name)
    return name


def swap_outputs(model: onnx.ModelProto) -> None:
    """Two outputs of one shape get each other's names."""
    names = {"place": "size", "size": "place"}
    for node in model.graph.node:
        node.output[:] = [names.get(name, name) for name in node.output]
        node.input[:] = [names.get(name, name) for name in node.input]


def test_swapped_outputs_are_recognised(files: Path, tmp_path: Path) -> None:
    name = changed_onnx(files, "swapped.onnx", swap_outputs)
    report = checked(files, name, tmp_path, "onnxruntime")
    assert not report.ok
    assert verdicts(report)["kind"] == {"faithful"}
    of_place = [c for c in report.not_passing if (c.output, c.regime) == ("place", "typical")]
    [detail] = {cell.detail for cell in of_place}
    assert "it is size: two outputs have each other's names" in detail


def drop_bias(model: onnx.ModelProto) -> None:
    [bias] = [t for t in model.graph.initializer if "place" in t.name and list(t.dims) == [2]]
    bias.CopyFrom(onnx.numpy_helper.from_array(np.zeros(2, np.float32), bias.name))


def test_a_dropped_bias_is_caught(files: Path, tmp_path: Path) -> None:
    report = checked(files, changed_onnx(files, "bias.onnx", drop_bias), tmp_path, "onnxruntime")
    assert verdicts(report) == {"kind": {"faithful"}, "place": {"wrong"}, "size": {"faithful"}}


def without_signatures(content: bytes) -> bytes:
    """As converters of TensorFlow 1 wrote files."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    model.signatureDefs = None
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_a_file_without_signatures_asks_which_is_which(files: Path, tmp_path: Path) -> None:
    old = files / "old.tflite"
    old.write_bytes(without_signatures((files / "model.tflite").read_bytes()))
    with pytest.raises(UsageError, match=r"fit in several ways.*--map place=") as raised:
        checked(files, "old.tflite", tmp_path, "litert")
    assert "the model: serving_default(image" in str(raised.value)
    assert "the file:" in str(raised.value)
    names = {
        "kind": "StatefulPartitionedCall_1:0",
        "place": "StatefulPartitionedCall_1:1",
        "size": "StatefulPartitionedCall_1:2",
    }
    report = checked(files, "old.tflite", tmp_path, "litert", "openvino", names=names)
    assert report.ok
    names["place"], names["size"] = names["size"], names["place"]
    report = checked(files, "old.tflite", tmp_path, "litert", names=names)
    assert verdicts(report)["place"] == {"wrong"}


def test_a_last_softmax_that_was_left_out_is_said(files: Path, tmp_path: Path) -> None:
    model = keras.saving.load_model(files / "model.keras")
    model.get_layer("kind").activation = keras.activations.linear
    plain = keras.models.clone_model(model)
    plain.set_weights(model.get_weights())
    plain.export(files / "plain", verbose=False)
    (files / "plain.tflite").write_bytes(tflite(files / "plain"))
    report = checked(files, "plain.tflite", tmp_path, "litert")
    wrong = [cell for cell in report.not_passing if cell.regime != "edge"]
    assert {cell.output for cell in wrong} == {"kind"}
    [detail] = {cell.detail for cell in wrong if cell.regime == "typical"}
    assert "its softmax is the reference: the last softmax was left out" in detail


def test_another_model_is_refused_with_both_sides(files: Path, tmp_path: Path) -> None:
    other = keras.Sequential([keras.Input((7,), name="x"), keras.layers.Dense(1, name="y")])
    other.save(files / "other.keras")
    with pytest.raises(UsageError, match="do not fit the model's") as raised:
        portproof.check(files / "model.tflite", files / "other.keras", folder=tmp_path, trust=True)
    assert "x: float32[?, 7]" in str(raised.value)
    assert "image: float32[?, 8, 8, 3]" in str(raised.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no TFLite flatbuffer"),
        (b"\x1c\x00\x00\x00TFL3" + b"\xff" * 40, "cannot be read"),
    ],
)
def test_what_is_no_model_is_a_line(
    files: Path, tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "x.tflite").write_bytes(content)
    with pytest.raises(UsageError, match=message):
        portproof.check(tmp_path / "x.tflite", files / "model.keras", folder=tmp_path, trust=True)


def test_the_command_checks_in_the_sandbox(files: Path, tmp_path: Path) -> None:
    command = ["check", "model.tflite", "--against", "model.keras", "--inputs", "rows.npz"]
    command += [
        "--runtime",
        "litert",
        "--output",
        str(tmp_path),
        "--json",
        str(tmp_path / "r.json"),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "portproof", *command],
        cwd=files,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "model.tflite.checked proven: 6 faithful" in done.stdout
    assert json.loads((tmp_path / "r.json").read_text())["ok"]
    assert portproof.diagnose(tmp_path / "model.tflite.checked", "litert-reference")
    shutil.rmtree(tmp_path / "model.tflite.checked")


def test_runtimes_that_agree_on_a_file_alone(files: Path, tmp_path: Path) -> None:
    for name, runtime, reference in (
        ("model.tflite", "litert", "litert-reference"),
        ("int8.tflite", "litert", "litert-reference"),
        ("model.onnx", "openvino", "onnxruntime"),
    ):
        report = portproof.check(files / name, runtimes=[runtime], folder=tmp_path)
        assert report.exit_status == 0, report.failures
        assert report.outcome == f"agrees with {reference}"
        assert {cell.runtime for cell in report.cells} == {runtime}


def test_a_file_alone_is_a_bundle_like_any_other(files: Path, tmp_path: Path) -> None:
    portproof.check(files / "model.tflite", runtimes=["litert"], folder=tmp_path)
    bundle = tmp_path / "model.tflite.checked"
    report = portproof.verify(bundle)
    assert report.outcome == "agrees with litert-reference"
    assert "litert-reference" not in {cell.runtime for cell in report.cells}
    assert "litert-reference" in (bundle / "README.md").read_text()
    assert "agrees with litert-reference" in (bundle / "report.html").read_text()
    assert all(d.agrees for d in portproof.diagnose(bundle, "litert"))
    with pytest.raises(UsageError, match="held to litert-reference itself"):
        list(portproof.diagnose(bundle, "litert-reference"))
    [timed] = portproof.bench(bundle, runtimes=["litert"])
    assert not timed.error
    release = Path(portproof.publish(bundle, str(tmp_path / "published")))
    statement = json.loads((release / STATEMENT).read_text())
    assert statement["predicate"]["references"].startswith("litert-reference (ai-edge-litert ")


def test_what_a_bundle_of_a_file_alone_may_not_say(files: Path, tmp_path: Path) -> None:
    """What others may differ by is the rule's, and not that of whoever wrote the manifest."""
    portproof.check(files / "model.tflite", runtimes=["litert"], folder=tmp_path)
    manifest = tmp_path / "model.tflite.checked" / "manifest.json"
    text = manifest.read_text()
    for field in ("step", "lsb", "mean_lsb"):
        content = json.loads(text)
        for budgets in content["held_to"]["budgets"].values():
            next(iter(budgets.values()))[field] = 1e9
        manifest.write_text(json.dumps(content))
        report = portproof.verify(manifest.parent, runtimes=["litert"])
        assert report.exit_status == 1
        assert all("than the rule allows" in cell.detail for cell in report.failures)
    content = json.loads(text)
    content["shader_ops"] = {name: ["Exp"] for name in content["signatures"]}
    manifest.write_text(json.dumps(content))
    report = portproof.verify(manifest.parent, runtimes=["litert"])
    assert all("no original to derive that from" in cell.detail for cell in report.failures)
    assert report.failures


def test_where_two_runtimes_part(tmp_path: Path) -> None:
    """OpenVINO takes other pixels where a resize has half-pixel centres."""

    @tf.function(input_signature=[tf.TensorSpec((1, 4, 4, 1), tf.float32, name="image")])
    def resized(image: tf.Tensor) -> tf.Tensor:
        return tf.raw_ops.ResizeNearestNeighbor(
            images=image, size=[7, 7], half_pixel_centers=True, align_corners=False
        )

    file = tmp_path / "resize.tflite"
    concrete = resized.get_concrete_function()
    file.write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([concrete]).convert())
    report = portproof.check(file, runtimes=["litert", "openvino"], folder=tmp_path)
    assert report.held_to == {"resize.tflite.checked": "litert-reference"}
    assert {(cell.runtime, cell.verdict) for cell in report.cells} == {
        ("litert", "exact"),
        ("openvino", "wrong"),
    }
    assert report.exit_status == 1


def test_the_tensor_at_which_two_runtimes_part(tmp_path: Path) -> None:
    """TF.js's WASM backend subtracts as something else where there are more than six axes."""

    class Difference(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((2, 2, 2, 2, 2, 2, 3), tf.float32, name="x")])
        def __call__(self, x: tf.Tensor) -> tf.Tensor:
            sizes = tf.abs(x)
            return tf.exp(sizes - tf.reduce_max(sizes, axis=-1, keepdims=True))

    bundle = portproof.export(Difference(), tmp_path / "difference", formats=["tfjs-graph"])
    [folder] = {path.parent for path in bundle.path.glob("tfjs-graph/**/model.json")}
    shutil.copytree(folder, tmp_path / "found")
    report = portproof.check(tmp_path / "found", runtimes=["tfjs-node-wasm"], folder=tmp_path)
    assert report.exit_status == 1
    [diagnosis] = portproof.diagnose(tmp_path / "found.checked", "tfjs-node-wasm")
    assert diagnosis.first
    assert diagnosis.first.node.op == "Sub"


def test_a_file_alone_whose_output_never_changes_shows_nothing(tmp_path: Path) -> None:
    @tf.function(input_signature=[tf.TensorSpec((2,), tf.float32, name="x")])
    def zero(x: tf.Tensor) -> tf.Tensor:
        return tf.cast(x > 1e30, tf.float32)

    file = tmp_path / "zero.tflite"
    concrete = zero.get_concrete_function()
    file.write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([concrete]).convert())
    report = portproof.check(file, runtimes=["litert"], folder=tmp_path)
    assert report.exit_status == 1
    assert all("all outputs are one number" in cell.detail for cell in report.cells)


def test_inputs_of_a_file_alone(files: Path, tmp_path: Path) -> None:
    file = files / "model.tflite"
    rows = files / "rows.npz"
    report = portproof.check(file, inputs=rows, runtimes=["litert"], folder=tmp_path)
    assert report.exit_status == 0
    assert "generated" not in str(report.notes)
    np.savez(tmp_path / "others.npz", picture=np.zeros((3, 8, 8, 3), np.float32))
    with pytest.raises(PortproofError, match=r"takes image.* nothing is given"):
        portproof.check(file, inputs=tmp_path / "others.npz", folder=tmp_path / "none")
    with pytest.raises(UsageError, match="are about a model"):
        portproof.check(file, signature="serving_default", folder=tmp_path)


def test_a_damaged_file_alone_is_a_line(files: Path, tmp_path: Path) -> None:
    content = (files / "model.tflite").read_bytes()
    (tmp_path / "cut.tflite").write_bytes(content[: len(content) // 3])
    (tmp_path / "text.onnx").write_text("no model")
    for name in ("cut.tflite", "text.onnx"):
        command = [sys.executable, "-m", "portproof", "check", str(tmp_path / name)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode in (1, 2)
        assert "Traceback" not in done.stdout + done.stderr
        assert name in done.stderr


def test_a_saved_model_alone_is_held_to_itself(files: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "portproof", "check", str(files / "saved"), "--runtime"]
    command += ["tensorflow-c", "--output", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "held to itself" in done.stderr
    assert "proven" in done.stdout


def test_what_one_input_shows_of_a_file_alone(tmp_path: Path) -> None:
    """Of a fixed shape, a vector is one output and not many rows; one call of it may be enough."""

    @tf.function(input_signature=[tf.TensorSpec((3,), tf.float32, name="x")])
    def tripled(x: tf.Tensor) -> tf.Tensor:
        return 3 * x

    file = tmp_path / "tripled.tflite"
    concrete = tripled.get_concrete_function()
    content = tf.lite.TFLiteConverter.from_concrete_functions([concrete]).convert()
    file.write_bytes(content)
    assert portproof.check(file, runtimes=["litert"], folder=tmp_path).ok
    [graph] = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0)).subgraphs
    name = graph.tensors[graph.inputs[0]].name.decode()
    tensors.write(tmp_path / "one.safetensors", {name: np.array([1, 2, 4], np.float32)})
    inputs = tmp_path / "one.safetensors"
    assert portproof.check(file, inputs=inputs, runtimes=["litert"], folder=tmp_path).ok
