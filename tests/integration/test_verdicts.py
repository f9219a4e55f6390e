"""Verdicts that people act on: no garbage is proven, and no right number is flagged."""

import io
import re
import shutil
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import portproof
from portproof.bundle import tensors
from portproof.bundle.bundle import Bundle, write_manifest
from portproof.bundle.digest import file_record
from portproof.bundle.report import NO_SANDBOX, Cell, Report
from portproof.reporting import table

RANDOM = np.random.default_rng(7)


def rows(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal((16, *shape)).astype(np.float32)


def layer_model(shape: tuple[int, ...], *stack: Any) -> keras.Model:
    x = y = keras.Input(shape, name="x")
    for layer in stack:
        y = layer(y)
    return keras.Model(x, y)


def exported(model: Any, folder: Path, inputs: Any, formats: Sequence[str] | None = None) -> Bundle:
    return portproof.export(model, folder, inputs=inputs, formats=formats)


def verdicts(report: Report) -> dict[tuple[str, str], set[str]]:
    """By format and runtime, the verdicts of the cells that count."""
    found: dict[tuple[str, str], set[str]] = {}
    for cell in report.cells:
        if cell.regime != "edge":
            found.setdefault((cell.full_format, cell.runtime), set()).add(cell.verdict)
    return found


def printed(report: Report, width: int = 80) -> list[str]:
    from rich.console import Console

    console = Console(width=width, file=io.StringIO(), highlight=False)
    with console.capture() as captured:
        console.print(table.render(report, width))
    return captured.get().splitlines()


# A variant that is no more the model


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Probabilities of 1,000 classes, as a classifier's are before it is trained."""
    keras.utils.set_random_seed(1)
    model = layer_model((10,), layers.Dense(1000), layers.Softmax(name="probabilities"))
    folder = tmp_path_factory.mktemp("classifier")
    return exported(model, folder / "classifier", rows(10), ["tflite", "tflite int8"])


def test_an_int8_model_of_zeros_is_wrong_and_says_what_to_do(classifier: Bundle) -> None:
    report = portproof.verify(classifier.path, runtimes=["litert"])
    assert report.exit_status == 1
    [cause] = {cell.detail for cell in report.failures}
    assert "no more the model: its SQNR is 0 dB, and 7 dB are wanted" in cause
    assert "step 1/256 is 3.9 times its typical value: export the logits" in cause
    assert verdicts(report)["tflite", "litert"] <= {"exact", "faithful"}


def test_a_person_may_set_other_floors(classifier: Bundle) -> None:
    floor = portproof.Floor(sqnr=-3.0, same_largest=0.0)
    floors = {"classifier": {"int8": floor}}
    report = portproof.verify(classifier.path, runtimes=["litert"], floors=floors)
    assert report.ok, report.failures


def test_a_file_that_ends_litert_does_not_end_the_export(classifier: Bundle) -> None:
    """LiteRT's reference kernels abort at this softmax, which the export runs too."""
    report = portproof.verify(classifier.path, runtimes=["litert-reference"])
    assert verdicts(report)["tflite int8", "litert-reference"] == {"failed"}
    assert "tflite int8" in [artifact.name for artifact in classifier.manifest.artifacts]


@pytest.mark.slow
def test_mobilenet_in_int8_is_no_mobilenet(tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    model = keras.applications.MobileNetV2(weights=None)
    bundle = exported(model, tmp_path / "mobilenet", rows(224, 224, 3)[:4], ["tflite int8"])
    report = portproof.verify(bundle.path, runtimes=["litert", "tensorflow"])
    assert report.exit_status == 1
    assert verdicts(report)["tflite int8", "litert"] == {"wrong"}
    assert len(printed(report)) <= 24
    # Its weights are random and its softmax is 1/1000 everywhere: of what is, nothing is proven.
    [reason] = {c.detail for c in report.cells if c.runtime == "tensorflow" and c.regime == "batch"}
    assert reason.startswith("proves nothing: all outputs are one number")


def test_accuracy_stands_in_the_table_and_its_loss_counts(tmp_path: Path) -> None:
    x = rows(6)
    model = layer_model((6,), layers.Dense(40, "relu"), layers.Dense(3, "softmax"))
    labels = np.asarray(model(x)).argmax(axis=1)
    labels[:4] = (labels[:4] + 1) % 3  # the model is right on 12 of 16
    bundle = portproof.export(
        model, tmp_path / "labelled", inputs=x, labels=labels, formats=["tflite", "tflite int8"]
    )
    report = portproof.verify(bundle.path, runtimes=["litert"])
    typical = [
        cell for cell in report.cells if cell.regime == "typical" and cell.runtime == "litert"
    ]
    assert {cell.reference_accuracy for cell in typical} == {0.75}
    assert {cell.labelled for cell in typical} == {16}
    assert any("75 %" in line for line in printed(report))
    assert any("of the Python model on 16 labelled rows" in line for line in printed(report))
    never = {"labelled": {"int8": portproof.Floor(7.0, 0.8, accuracy_loss=-1.0)}}
    failures = portproof.verify(bundle.path, runtimes=["litert"], floors=never).failures
    assert any("its accuracy is" in cell.detail for cell in failures)


# Right numbers that look odd

EVERYWHERE = [
    "keras-jax",
    "litert",
    "litert-reference",
    "openvino",
    "tflite-micro",
    "tfjs-node-wasm",
]


@pytest.mark.parametrize(
    ("name", "model", "shape"),
    [
        ("doubled", lambda: layer_model((5, 7, 3), _bilinear(2)), (5, 7, 3)),
        ("tripled", lambda: layer_model((6, 6, 2), _bilinear(3)), (6, 6, 2)),
        ("resized", lambda: layer_model((9, 9, 3), layers.Resizing(14, 11)), (9, 9, 3)),
        (
            "averaged",
            lambda: layer_model((6, 6, 6, 2), layers.AveragePooling3D((3, 2, 2), padding="same")),
            (6, 6, 6, 2),
        ),
    ],
)
def test_positions_and_means_are_rounded_too(
    name: str, model: Any, shape: tuple[int, ...], tmp_path: Path
) -> None:
    bundle = exported(model(), tmp_path / name, rows(*shape), ["keras", "tflite", "tfjs-graph"])
    report = portproof.verify(bundle.path, runtimes=EVERYWHERE)
    assert report.ok, report.failures


def _bilinear(factor: int) -> Any:
    return layers.UpSampling2D(factor, interpolation="bilinear")


def test_a_prelu_in_tfjs_layers_is_proven(tmp_path: Path) -> None:
    model = layer_model((6, 6, 2), layers.PReLU(alpha_initializer="random_normal"))
    bundle = exported(model, tmp_path / "prelu", rows(6, 6, 2), ["tfjs-layers"])
    report = portproof.verify(bundle.path, runtimes=["tfjs-node-cpu", "tfjs-node-wasm"])
    assert report.ok, report.failures


class OfTheBatch(tf.Module):  # type: ignore[misc]
    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, name="x")])  # type: ignore[untyped-decorator]
    def of_the_batch(self, x: Any) -> Any:
        return {"y": tf.cond(tf.reduce_sum(x) > 0, lambda: x * 2.0, lambda: x * 3.0)}


def test_rows_that_depend_on_each_other_are_not_asked_for_one_by_one(tmp_path: Path) -> None:
    bundle = exported(OfTheBatch(), tmp_path / "batch", rows(3), ["tflite", "tfjs-graph"])
    assert bundle.manifest.row_dependent == ("of_the_batch",)
    report = portproof.verify(bundle.path, runtimes=["litert", "openvino", "tflite-micro"])
    found = verdicts(report)
    assert found["tflite", "tflite-micro"] == {"unsupported"}
    assert found["tflite", "litert"] == {"exact"}
    assert report.ok, report.failures


def test_an_input_that_is_handed_through_has_its_own_name(tmp_path: Path) -> None:
    model = layer_model((5, 4), layers.SpatialDropout1D(0.5))
    bundle = exported(model, tmp_path / "through", rows(5, 4), ["tflite"])
    report = portproof.verify(bundle.path, runtimes=["openvino", "litert"])
    assert verdicts(report)["savedmodel", "openvino"] == {"exact"}
    assert report.ok, report.failures


# What a runtime lacks


def test_micro_gets_the_arena_that_a_model_needs(classifier: Bundle) -> None:
    report = portproof.verify(classifier.path, runtimes=["tflite-micro"])
    cells = [cell for cell in report.cells if cell.format == "tflite" and not cell.variant]
    assert all(cell.passed for cell in cells if cell.regime != "edge"), cells
    assert re.search(r"needs an arena of \d+ KiB", cells[0].detail)


def test_a_convolution_that_wasm_cannot_train_is_unsupported(tmp_path: Path) -> None:
    model = layer_model((8, 8, 1), layers.Conv2D(2, 3, activation="relu"), layers.Flatten())
    bundle = exported(model, tmp_path / "trained", rows(8, 8, 1), ["tfjs-layers"])
    report = portproof.verify(bundle.path, runtimes=["tfjs-node-wasm", "tfjs-node-cpu"])
    lacking = [cell for cell in report.cells if cell.verdict == "unsupported"]
    assert {(cell.runtime, cell.lacks) for cell in lacking} == {
        ("tfjs-node-wasm", "Conv2DBackpropFilter")
    }
    assert report.exit_status == 0
    assert "not to: training in tfjs-node-wasm (Conv2DBackpropFilter)" in printed(report, 1000)[-1]
    target = {"trained": ["tfjs-node-wasm"]}
    report = portproof.verify(bundle.path, runtimes=["tfjs-node-wasm"], targets=target)
    assert report.exit_status == 1


def test_an_op_that_is_lacking_is_named_with_its_layer(tmp_path: Path) -> None:
    activation = layers.Activation("gelu", name="my_gelu")
    model = layer_model((8,), layers.Dense(8), activation, layers.Dense(2))
    bundle = exported(model, tmp_path / "gelu", rows(8), ["tflite"])
    report = portproof.verify(bundle.path, runtimes=["tflite-micro", "litert"])
    [detail] = {c.detail for c in report.cells if c.verdict == "unsupported" and c.regime != "edge"}
    assert detail == "lacks GELU (in my_gelu)"
    assert report.exit_status == 0
    alone = portproof.verify(bundle.path, runtimes=["tflite-micro"])
    assert alone.exit_status == 1
    assert alone.unproven == ["gelu tflite serving_default: no runtime here supports all of it"]


# A bundle that says of itself what is not so


def forged(bundle: Bundle, folder: Path, change: Any) -> Bundle:
    """A copy whose vectors are changed, with the digests made right again."""
    shutil.copytree(bundle.path, folder)
    vectors = []
    for vector in bundle.manifest.vectors:
        arrays = {name: change(name, array) for name, array in bundle.read(vector).items()}
        tensors.write(folder / vector.file.path, arrays)
        vectors.append(vector.model_copy(update={"file": file_record(folder, vector.file.path)}))
    write_manifest(folder, bundle.manifest.model_copy(update={"vectors": tuple(vectors)}))
    return Bundle.open(folder)


def test_bounds_larger_than_the_values_prove_nothing(
    bundles: dict[str, Bundle], tmp_path: Path
) -> None:
    def change(name: str, array: Any) -> Any:
        if name.startswith("rounding/"):
            return np.full_like(array, 1000)
        return array + np.float32(50) if name.startswith("reference/") else array

    bundle = forged(bundles["quadratic"], tmp_path / "quadratic", change)
    report = portproof.verify(bundle.path, runtimes=["tensorflow", "litert"])
    assert report.exit_status == 1
    assert {c.verdict for c in report.cells if c.format == "savedmodel" and c.regime != "edge"} == {
        "wrong"
    }
    assert "proves nothing" in report.failures[0].detail


@pytest.mark.parametrize(
    ("group", "factor", "message"),
    [
        ("reference", 1.001, "the reference of y is off by"),
        ("oracle", 1.001, "the oracle of y is off by"),
        ("rounding", 3.0, "times the one computed here"),
    ],
)
def test_recomputing_takes_nothing_on_trust(
    group: str, factor: float, message: str, bundles: dict[str, Bundle], tmp_path: Path
) -> None:
    def change(name: str, array: Any) -> Any:
        with np.errstate(over="ignore"):
            return (array * factor).astype(array.dtype) if name == f"{group}/y" else array

    bundle = forged(bundles["quadratic"], tmp_path / "quadratic", change)
    report = portproof.verify(bundle.path, runtimes=["tensorflow"], recompute=True)
    assert report.exit_status == 1
    assert message in next(iter(report.refused.values()))


def test_an_honest_bundle_is_recomputed_and_proven(bundles: dict[str, Bundle]) -> None:
    for name in ("quadratic", "quadratic_keras"):
        report = portproof.verify(bundles[name].path, runtimes=["tensorflow"], recompute=True)
        assert report.ok, report.refused


# What a person sees


class ThreeOutputs(tf.Module):  # type: ignore[misc]
    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, name="x")])  # type: ignore[untyped-decorator]
    def three(self, x: Any) -> Any:
        return {"a": tf.exp(x), "b": tf.nn.gelu(x), "c": tf.nn.softmax(x)}


def test_a_model_prints_one_screen(tmp_path: Path) -> None:
    bundle = exported(ThreeOutputs(), tmp_path / "three", rows(3))
    report = portproof.verify(bundle.path)
    assert len(printed(report)) <= 50
    before_the_end = "\n".join(printed(report)).partition("\nnot run:")[0]
    assert "edge" not in before_the_end
    reasons = [line for line in printed(report, 1000) if line.startswith(("wrong", "failed"))]
    assert len(reasons) == len(set(reasons))


def test_the_figures_are_of_the_whole_output(bundles: dict[str, Bundle]) -> None:
    report = portproof.verify(bundles["quadratic"].path, runtimes=["litert"])
    [line] = [line for line in printed(report) if line.startswith("litert ")]
    assert line.endswith(("46 dB", "47 dB"))  # and not the one decibel of the quietest single row


def test_a_run_of_one_runtime_keeps_the_cells_of_the_others(
    bundles: dict[str, Bundle], tmp_path: Path
) -> None:
    folder = tmp_path / "my_module"
    shutil.copytree(bundles["my_module"].path, folder)
    portproof.verify(folder, runtimes=["litert", "tensorflow"])
    narrowed = portproof.verify(folder, runtimes=["litert"])
    kept = Report.model_validate_json((folder / "report.json").read_text())
    assert {cell.runtime for cell in narrowed.cells} == {"litert"}
    assert {cell.runtime for cell in kept.cells} == {"litert", "tensorflow"}
    assert kept.ok


def test_a_pipe_hears_of_each_runtime_as_it_ends(bundles: dict[str, Bundle]) -> None:
    ended: list[tuple[str, list[Cell]]] = []
    portproof.verify(
        bundles["my_module"].path,
        runtimes=["litert", "tensorflow"],
        on_runtime=lambda name, cells: ended.append((name, list(cells))),
    )
    assert sorted(name for name, _ in ended) == ["litert", "tensorflow"]
    assert all(cell.runtime == name for name, cells in ended for cell in cells)


def test_an_empty_report_is_printed_as_not_proven() -> None:
    report = Report(bundle={}, environment=_environment(), cells=[])
    with redirect_stdout(io.StringIO()) as out:
        portproof.print_report(report)
    assert out.getvalue().strip() == "not proven: no cells at all"


def _environment() -> Any:
    from portproof.runtimes.host import environment

    return environment({}, NO_SANDBOX)
