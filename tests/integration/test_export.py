"""Exports are the same bytes every time, keep names, and are complete or not written at all."""

import hashlib
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import portproof
from export.train import source_of, train
from portproof.bundle import tensors
from portproof.bundle.bundle import Bundle
from portproof.bundle.errors import ExportError, UsageError
from portproof.exporting import export_source
from portproof.formats.format import Format, Written
from portproof.formats.table import names, select
from portproof.oracle.oracle import Oracle
from portproof.vectors.cases import cases, special_values
from tests.conftest import REPOSITORY
from tests.helpers.sources import X, heads

EXPORT = """
import sys
from pathlib import Path
import tensorflow as tf
import portproof
from export.train import MODELS, source_of

training, target, before = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
for n in range(before):  # moves every counter of the process
    tf.function(lambda x: x + n).get_concrete_function(tf.TensorSpec([n], tf.float32))
for name in MODELS:
    portproof.export(source_of(name, training), target / name)
"""


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.slow
def test_two_processes_export_the_same_bytes(training: Path, tmp_path: Path) -> None:
    for name, before in (("one", 0), ("two", 17)):
        command = [sys.executable, "-c", EXPORT, str(training), str(tmp_path / name), str(before)]
        subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
        time.sleep(2)  # zip entries have times in steps of two seconds
    one, two = digests(tmp_path / "one"), digests(tmp_path / "two")
    assert len(one) > 60
    assert one == two


def test_exporting_again_in_one_process_gives_the_same_bytes(
    bundles: dict[str, Bundle], training: Path, tmp_path: Path
) -> None:
    again = portproof.export(source_of("quadratic_keras", training), tmp_path / "quadratic_keras")
    second, first = digests(again.path), digests(bundles["quadratic_keras"].path)
    assert second == {name: first[name] for name in second}


def test_every_format_is_exported_or_left_out(bundles: dict[str, Bundle]) -> None:
    for bundle in bundles.values():
        formats = {artifact.format for artifact in bundle.manifest.artifacts}
        assert formats >= {"savedmodel", "checkpoint", "keras", "tflite", "tfjs-graph"}
        # Only a Keras model whose tensors have a dimension beside the batch is a layers model.
        assert ("tfjs-layers" in formats) == (bundle.manifest.model == "quadratic_keras")
        exported = [artifact.name for artifact in bundle.manifest.artifacts]
        left_out = [entry.format for entry in bundle.manifest.left_out]
        assert sorted([*exported, *left_out]) == sorted(names())


def test_plots_are_part_of_a_trained_bundle(bundles: dict[str, Bundle]) -> None:
    for name in ("quadratic", "quadratic_keras"):
        plots = {file.path for file in bundles[name].manifest.plots}
        assert plots == {f"plots/{n}.png" for n in ("data", "before", "loss", "after")}


def test_vectors_cover_every_regime(bundles: dict[str, Bundle]) -> None:
    vectors = bundles["quadratic"].vectors("serving_default")
    rows = {v.case: len(bundles["quadratic"].read(v)["inputs/x"]) for v in vectors}
    assert rows["typical"] == 201
    assert list(rows)[1:5] == ["batch-1", "batch-7", "batch-1000", "batch-1-again"]
    assert [rows[case] for case in list(rows)[1:5]] == [1, 7, 1000, 1]
    assert rows["edge-zero-rows"] == 0
    edges = {v.case for v in vectors if v.regime == "edge"}
    kinds = ("zero-rows", "nan", "infinity", "zero", "denormal", "large", "small", "sweep-x")
    assert edges == {f"edge-{kind}" for kind in kinds}


def test_vectors_of_a_signature_without_a_dynamic_dimension() -> None:
    signature = heads().signatures["serving_default"]
    fixed = signature.model_copy(
        update={"inputs": {"x": signature.inputs["x"].model_copy(update={"shape": (2,)})}}
    )
    generated = list(cases(fixed, {"x": np.ones(2, np.float32)}, 1000))
    assert {case.regime for case in generated} == {"typical", "batch", "edge"}
    assert all(case.inputs["x"].shape == (2,) for case in generated)
    assert len(special_values(fixed.inputs["x"])["infinity"]) == 2
    assert [c.name for c in generated if "infinity" in c.name] == [
        "edge-infinity-0",
        "edge-infinity-1",
    ]


def test_the_oracle_is_the_graph_in_float64(bundles: dict[str, Bundle]) -> None:
    bundle = bundles["quadratic"]
    module = tf.saved_model.load(str(bundle.path / "savedmodel"))
    w_q, w_l, b = (float(v) for v in (module.w_q, module.w_l, module.b))
    for vector in bundle.vectors("serving_default"):
        arrays = bundle.read(vector)
        assert arrays["oracle/y"].dtype == np.float64
        x = arrays["inputs/x"].astype(np.float64)
        with np.errstate(invalid="ignore"):
            exact = w_q * (x * x) + w_l * x + b
        np.testing.assert_allclose(arrays["oracle/y"], exact, rtol=1e-14, atol=1e-14)
    assert "oracle/output_0" not in bundles["my_module"].read(
        bundles["my_module"].vectors("multiply")[0]
    )


def test_the_oracle_covers_library_functions_and_loops() -> None:
    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def loop(x: tf.Tensor) -> dict[str, tf.Tensor]:
        for _ in tf.range(10):
            x = x * 1.1
        return {"y": x}

    exact = Oracle(loop.get_concrete_function())({"x": np.ones(1, np.float32)})["y"]
    assert exact.dtype == np.float64
    assert exact[0] == pytest.approx(float(np.float32(1.1)) ** 10, rel=1e-14)


def test_the_checkpoint_restores_into_the_users_own_model(bundles: dict[str, Bundle]) -> None:
    from export import quadratic_keras

    bundle = bundles["quadratic_keras"]
    model = quadratic_keras.build(seed=1)
    path = str(bundle.path / "checkpoint" / "variables")
    tf.train.Checkpoint(model=model).read(path).assert_existing_objects_matched()
    arrays = bundle.read(bundle.vectors("serving_default")[0])
    np.testing.assert_array_equal(model(arrays["inputs/x"]), arrays["reference/y"])


def test_a_keras_model_is_saved_without_its_optimizer(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((4,), name="x"), keras.layers.Dense(3, name="y")])
    model.compile(optimizer=keras.optimizers.Adam(), loss="mse")
    x = np.ones((8, 4), np.float32)
    model.fit(x, np.ones((8, 3)), verbose=0)
    bundle = portproof.export(model, tmp_path / "dense", inputs={"x": x})
    for path in ("checkpoint/variables", "savedmodel/variables/variables"):
        names = [name for name, _ in tf.train.list_variables(str(bundle.path / path))]
        assert len([name for name in names if "OBJECT_GRAPH" not in name]) == 2, names
    assert model.optimizer is not None


def test_the_python_api_takes_a_module(tmp_path: Path) -> None:
    class Scale(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.factor = tf.Variable(2.5)

        @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="x")])
        def scale(self, x: tf.Tensor) -> tf.Tensor:
            return self.factor * x

    bundle = portproof.export(Scale(), tmp_path / "s", inputs={"x": np.eye(3, 2, dtype=np.float32)})
    # Every float32 format but those that need a Keras model.
    formats = {artifact.format for artifact in bundle.manifest.artifacts}
    assert formats == {"savedmodel", "checkpoint", "tflite", "onnx", "tfjs-graph"}
    assert portproof.verify(bundle.path, runtimes=["litert"]).ok


def test_a_failed_export_leaves_the_old_bundle(tmp_path: Path) -> None:
    export_source(heads(), tmp_path / "heads")
    before = digests(tmp_path)

    def fail(*_: object) -> Written:
        raise RuntimeError("no such op: Frobnicate\nat line 7")

    formats = [*select(["tflite"]), Format("tfjs-graph", fail)]
    with pytest.raises(ExportError, match=r"heads cannot be written as tfjs-graph.*Frobnicate at"):
        export_source(heads(), tmp_path / "heads", formats=formats, required=["tfjs-graph"])
    assert digests(tmp_path) == before


def test_an_unrequested_format_that_fails_is_left_out_with_the_reason(tmp_path: Path) -> None:
    def fail(*_: object) -> Written:
        raise RuntimeError("no such op: Frobnicate")

    formats = [*select(["tflite"]), Format("tfjs-graph", fail)]
    bundle = export_source(heads(), tmp_path / "heads", formats=formats)
    assert [artifact.name for artifact in bundle.manifest.artifacts] == ["savedmodel", "tflite"]
    [left_out] = bundle.manifest.left_out
    assert left_out.format == "tfjs-graph"
    assert "Frobnicate" in left_out.reason
    assert not (bundle.path / "tfjs-graph").exists()


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"y": X, "z": X}, r"given for \['y', 'z'\], and the signature's inputs are \['x'\]"),
        ({"x": X.astype(np.int32)}, r"int32\[33\], and the signature says float32\[\?\]"),
        ({"x": X[:, None]}, r"float32\[33, 1\], and"),
        ({"x": X[:0]}, "empty, which proves nothing"),
    ],
)
def test_wrong_examples_are_refused(
    inputs: dict[str, np.ndarray] | None, message: str, tmp_path: Path
) -> None:
    source = heads()
    with pytest.raises(UsageError, match=message):
        portproof.export(
            source.model, tmp_path / "x", signatures=dict(source.functions), inputs=inputs
        )
    assert not list(tmp_path.iterdir())


def test_an_object_that_is_not_a_model_is_refused() -> None:
    with pytest.raises(UsageError, match="cannot export a int"):
        portproof.export(3)


def test_vectors_are_read_in_the_order_of_the_manifest(bundles: dict[str, Bundle]) -> None:
    bundle = bundles["quadratic"]
    first, *_, last = (v for v in bundle.vectors("serving_default") if v.regime == "batch")
    first_arrays, last_arrays = (tensors.read(bundle.path / v.file.path) for v in (first, last))
    assert all((first_arrays[name] == last_arrays[name]).all() for name in first_arrays)


def test_a_folder_that_is_not_a_bundle_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years")
    with pytest.raises(UsageError, match="something else than a bundle"):
        export_source(heads(), tmp_path / "mine")
    (tmp_path / "mine").rename(tmp_path / "my_module")
    with pytest.raises(UsageError, match="something else than a training"):
        train("my_module", tmp_path)
    assert (tmp_path / "my_module" / "thesis.tex").read_text() == "years"


def test_two_outputs_of_one_layer_are_numbered(tmp_path: Path) -> None:
    a, b = keras.Input((2,), name="a"), keras.Input((2,), name="b")
    dense = keras.layers.Dense(1, name="d")
    model = keras.Model([a, b], [dense(a), dense(b)])
    inputs = {"a": np.ones((3, 2), np.float32), "b": np.zeros((3, 2), np.float32)}
    bundle = portproof.export(model, tmp_path / "x", inputs=inputs, formats=["keras"])
    assert list(bundle.manifest.signatures["serving_default"].outputs) == ["d_0", "d_1"]
    structure = bundle.manifest.structures["serving_default"]
    assert (structure.inputs, structure.outputs) == (["a", "b"], ["d_0", "d_1"])
    assert portproof.verify(bundle.path, runtimes=["keras"]).ok


def test_a_model_without_known_inputs_is_refused(tmp_path: Path) -> None:
    class Own(keras.Model):
        def call(self, x: tf.Tensor) -> tf.Tensor:
            return x

    with pytest.raises(ExportError, match="has no inputs"):
        portproof.export(Own(), tmp_path / "x", inputs={"x": X})
