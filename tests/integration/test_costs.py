"""What decides comes first and whole; what costs much is run in part, and the report says so."""

import math
import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import psutil
import pytest
import tensorflow as tf

import portproof
from portproof import exporting
from portproof.bundle.bundle import Bundle
from portproof.bundle.errors import ExportError
from portproof.bundle.report import Cell, Report
from portproof.exporting import export_source
from portproof.formats.format import Format, Written
from portproof.formats.table import select as formats_named
from portproof.reporting.junit import render_junit
from portproof.reporting.summary import not_run_text
from portproof.runtimes.runtime import Runtime
from portproof.runtimes.table import needs_one_row, select
from portproof.tflite.one_row import with_one_row
from portproof.vectors import writing
from portproof.verifying import selecting
from portproof.verifying.scheduling import run_cells
from portproof.verifying.trial import trials
from tests.helpers.sources import heads

LITERT = ("litert", "litert-reference")


def slow(*names: str) -> list[Runtime]:
    """Runtimes of which a row is said to take very long."""
    return [replace(runtime, slowness=1e12) for runtime in select(list(names), [])]


def deciding(report: Report) -> list[Cell]:
    return [cell for cell in report.cells if cell.regime != "edge"]


def test_a_slow_runtime_gets_two_rows_two_batch_sizes_and_a_second_call(
    bundles: dict[str, Bundle],
) -> None:
    fast = run_cells([bundles["quadratic"]], select(["litert"], []))
    report = run_cells([bundles["quadratic"]], slow("litert"))
    assert {c.samples for c in report.cells if c.regime == "typical"} == {2}
    assert {c.samples for c in report.cells if c.regime == "batch"} == {2}  # one row, twice
    assert {c.samples for c in fast.cells if c.regime == "typical"} == {201}
    assert [c.verdict for c in deciding(report)] == [c.verdict for c in deciding(fast)]
    told = next(entry for entry in report.not_run if entry.regime != "edge")
    assert told.cases == ("typical: 199 of 201 rows", "batch-7 (7 rows)", "batch-1000 (1000 rows)")
    assert "some rows in litert, where a row takes long" in not_run_text(report.not_run)
    assert not [entry for entry in fast.not_run if entry.regime != "edge"]


def test_a_fault_in_what_is_left_is_still_found(bundles: dict[str, Bundle]) -> None:
    from verify.faults.damage import with_faulty_runner

    faulty = [with_faulty_runner(runtime, "second call of a size") for runtime in slow("litert")]
    report = run_cells([bundles["quadratic"]], faulty)
    assert {c.verdict for c in report.cells if (c.regime, c.variant) == ("batch", "")} == {"wrong"}


def test_rows_that_depend_on_each_other_and_training_are_run_whole(tmp_path: Path) -> None:
    class Module(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, name="x")])  # type: ignore[untyped-decorator]
        def f(self, x: Any) -> dict[str, Any]:
            return {"y": x - tf.reduce_mean(x, axis=0)}

    rows = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    bundle = portproof.export(Module(), tmp_path / "m", inputs={"x": rows}, formats=["tflite"])
    report = run_cells([bundle], slow("litert"))
    assert {c.samples for c in report.cells if c.regime == "typical"} == {20}
    assert report.exit_status == 0, report


def test_everything_that_decides_comes_before_any_edge(bundles: dict[str, Bundle]) -> None:
    regimes: list[str] = []
    run_cells(
        list(bundles.values()),
        select([*LITERT, "openvino"], []),
        edge_share=math.inf,
        on_cell=lambda cell: regimes.append("edge" if cell.regime == "edge" else "deciding"),
    )
    first = regimes.index("edge")
    assert set(regimes[:first]) == {"deciding"}
    assert set(regimes[first:]) == {"edge"}


@pytest.mark.parametrize("asked", [{"edge_share": 0.0}, {"edge_share": math.inf}, {"strict": True}])
def test_edge_cases_that_no_time_is_left_for_are_named(
    asked: dict[str, Any], bundles: dict[str, Bundle]
) -> None:
    report = run_cells([bundles["quadratic"]], select(["litert"], []), **asked)
    edge = [cell for cell in report.cells if cell.regime == "edge"]
    left_out = {case for entry in report.not_run for case in entry.cases}
    if asked.get("edge_share") != 0.0:
        assert edge
        assert not left_out
        return
    assert not edge
    vectors_left = [v.case for v in bundles["quadratic"].manifest.vectors if v.regime == "edge"]
    assert left_out == set(vectors_left)
    assert "edge cases in litert: portproof verify --edge" in not_run_text(report.not_run)
    assert report.exit_status == 0
    assert f"not run: {vectors_left[0]}" in render_junit(report)
    assert Report.model_validate_json(report.to_json()).not_run == report.not_run


def end_the_process(*_: Any) -> Written:
    os.kill(os.getpid(), signal.SIGABRT)
    raise AssertionError


def test_a_converter_that_ends_its_process_costs_one_format(tmp_path: Path) -> None:
    crashing = Format("ending", end_the_process, of_saved_model=True)
    formats = [*formats_named(["tflite", "tfjs-graph"]), crashing]
    bundle = export_source(
        heads(), tmp_path / "heads", formats=[formats[0], crashing, *formats[1:3]]
    )
    names = [artifact.name for artifact in bundle.manifest.artifacts]
    assert names == ["savedmodel", "tflite", "tfjs-graph"]
    [left_out] = bundle.manifest.left_out
    assert "TensorFlow's converter ended its process (SIGABRT)" in left_out.reason
    with pytest.raises(ExportError, match="SIGABRT"):
        export_source(heads(), tmp_path / "other", formats=formats, required=["ending"])
    assert not (tmp_path / "other").exists()


def test_a_writer_that_cannot_be_sent_to_another_process_is_told_so(tmp_path: Path) -> None:
    local = Format("local", lambda *_: Written({}), of_saved_model=True)
    saved_model, *_ = formats_named(["tflite"])
    bundle = export_source(heads(), tmp_path / "heads", formats=[saved_model, local])
    [left_out] = bundle.manifest.left_out
    assert "its writer runs in another process, and cannot be sent there" in left_out.reason


def test_a_cut_case_is_of_rows_all_over_and_in_no_plot(
    bundles: dict[str, Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    [trial, *_] = trials([bundles["quadratic"]], slow("litert")[0])
    monkeypatch.setattr(selecting, "MIN_ROWS", 3)
    [typical, *_] = bundles["quadratic"].vectors(trial.signature_name)
    whole = bundles["quadratic"].read(typical)
    cut = selecting.Rows(trial).of(typical)
    assert cut
    np.testing.assert_array_equal(cut["inputs/x"], whole["inputs/x"][[0, 100, 200]])
    oracle = f"oracle/{trial.outputs[0]}"
    np.testing.assert_array_equal(cut[oracle], whole[oracle][[0, 100, 200]])
    report = run_cells([bundles["quadratic"]], slow("litert"))
    assert not any(cell.errors for cell in report.cells)


def files_of(model: Any, shape: Sequence[int], folder: Path) -> tuple[bytes, bytes]:
    """A model's TFLite files: for any number of rows, and for one."""
    rows = np.random.default_rng(1).normal(size=(8, *shape)).astype(np.float32)
    bundle = portproof.export(model, folder, inputs=rows, formats=["tflite"])
    report = portproof.verify(folder, runtimes=["litert", "tflite-micro"])
    assert report.exit_status == 0, report
    endpoint = next(a for a in bundle.manifest.artifacts if a.name == "tflite").endpoints
    [found] = endpoint.values()
    assert found.one_row
    return (folder / found.path).read_bytes(), (folder / found.one_row).read_bytes()


def test_the_file_of_one_row_is_the_other_one_where_its_shapes_are_right(tmp_path: Path) -> None:
    x = keras.Input((8, 8, 3), name="x")
    y = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3, strides=2)(x))
    dynamic, one_row = files_of(keras.Model(x, keras.layers.Dense(2)(y)), (8, 8, 3), tmp_path / "m")
    assert with_one_row(dynamic) == one_row
    assert dynamic != one_row


def test_a_first_dimension_that_is_not_the_rows_is_converted_apart(tmp_path: Path) -> None:
    """Of one row the tensor inside has four, where the dynamic file says one."""
    x = keras.Input((8,), name="x")
    parts = keras.layers.Dense(2)(keras.ops.reshape(x, (-1, 2)))
    model = keras.Model(x, keras.ops.reshape(parts, (-1, 8)))
    dynamic, one_row = files_of(model, (8,), tmp_path / "m")
    assert with_one_row(dynamic) != one_row


def test_a_file_of_one_row_is_made_for_those_who_run_it(tmp_path: Path) -> None:
    assert needs_one_row([])
    assert needs_one_row(["litert", "tflite-micro"])
    assert not needs_one_row(["litert", "tfjs-node-wasm"])
    source = replace(heads(), one_row=False)
    bundle = export_source(source, tmp_path / "heads", formats=formats_named(["tflite"]))
    assert [path.name for path in (bundle.path / "tflite").iterdir()] == ["heads.tflite"]
    report = run_cells([bundle], select(["litert", "tflite-micro"], []))
    by_runtime = {cell.runtime: cell for cell in report.cells if cell.format == "tflite"}
    assert by_runtime["litert"].passed
    assert by_runtime["tflite-micro"].lacks == "a dynamic number of rows"


def test_a_card_stays_small(tmp_path: Path) -> None:
    x = keras.Input((224, 224, 3), name="x")
    model = keras.Model(x, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x)))
    rows = np.random.default_rng(0).normal(size=(2, 224, 224, 3)).astype(np.float32)
    bundle = portproof.export(model, tmp_path / "image", inputs=rows, formats=["tfjs-graph"])
    card = bundle.path / "README.md"
    assert card.stat().st_size < 16_000
    assert "full(1.0, 2, 224, 224, 3)" in card.read_text()


def test_where_memory_is_short_conversions_end_before_test_vectors_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[bool] = []
    write_vectors = writing.write_vectors

    def seen(*arguments: Any) -> Any:
        converted = [*tmp_path.glob(".bundle*/bundle/tflite/*.tflite")]
        started.append(bool(converted) and not children_named("portproof.formats.converting"))
        return write_vectors(*arguments)

    monkeypatch.setattr(exporting, "write_vectors", seen)
    monkeypatch.setattr(exporting, "fits_beside_oracle", lambda _: False)
    export_source(heads(), tmp_path / "bundle", formats=formats_named(["tflite"]))
    assert started == [True]


def children_named(words: str) -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process().children(recursive=True)
        if child.status() != "zombie" and words in " ".join(child.cmdline())
    ]
