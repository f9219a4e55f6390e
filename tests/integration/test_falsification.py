"""Each wrong artifact or runtime gives the verdict `wrong` or `failed` and exit status 1."""

import os
import shutil
import zipfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import portproof
from portproof.bundle.bundle import Bundle
from portproof.bundle.report import Cell, Report
from portproof.runtimes.process import Limits
from portproof.runtimes.runtime import Runtime
from portproof.runtimes.table import RUNTIMES
from portproof.verifying.scheduling import run_cells
from tests.helpers.sources import exported, heads
from verify.faults.damage import (
    damaged,
    rewrite_manifest,
    with_faulty_runner,
    with_format_from,
)

FORMATS = ("savedmodel", "checkpoint", "keras", "tflite", "tfjs-graph")
# Those that start in a second or two; test_browser.py tests the browser.
FAST = [
    runtime
    for runtime in RUNTIMES
    if runtime.name
    in (
        "tensorflow",
        "tensorflow-c",
        "keras",
        "litert",
        "litert-reference",
        "tflite-micro",
        "openvino",
        "tfjs-node-cpu",
        "tfjs-node-wasm",
    )
]
FAULTS = ("exponent bit", "dropped", "renamed", "dtype", "nan", "swapped")


def title(fault: str, format_: str) -> str:
    return f"{fault} in {format_}"


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return exported(heads(), tmp_path_factory.mktemp("right") / "heads")


@pytest.fixture(scope="module")
def reports(right: Bundle, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Report]:
    """The right bundle, and one with each fault in each format, verified in one run."""
    folder = tmp_path_factory.mktemp("faulty")
    bundles = [right]
    for fault in FAULTS:
        faulty = exported(heads(fault), folder / fault)
        bundles += [
            with_format_from(right, faulty.path, f, folder / title(fault, f)) for f in FORMATS
        ]
    bundles += [flipped(right, format_, folder) for format_ in FORMATS]
    report = run_cells(bundles, FAST)
    return {model: report.of_model(model) for model in report.bundle}


def flipped(right: Bundle, format_: str, folder: Path) -> Bundle:
    """The right bundle with one exponent bit of the weight 1.5 flipped in a format's own bytes."""
    return damaged(right, folder / title("flipped byte", format_), partial(flip, format_=format_))


def flip(folder: Path, format_: str) -> None:
    weight = np.float32(1.5).tobytes()
    corrupted = np.float32(1.5 * 2**-16).tobytes()
    count = 0
    for file in [path for path in (folder / format_).rglob("*") if path.is_file()]:
        if file.suffix == ".keras":
            count += flip_in_zip(file, weight, corrupted)
        elif file.suffix != ".pb" and weight in file.read_bytes():
            file.write_bytes(file.read_bytes().replace(weight, corrupted))
            count += 1
    files = 2 if format_ == "tflite" else 1  # the second of which has one row
    assert count == files, "the weight is stored once in a file, and that is where it was changed"


def flip_in_zip(file: Path, weight: bytes, corrupted: bytes) -> int:
    with zipfile.ZipFile(file) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    count = sum(weight in data for name, data in entries.items() if name.endswith(".h5"))
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in entries.items():
            archive.writestr(
                name, data.replace(weight, corrupted) if name.endswith(".h5") else data
            )
    return count


def verdicts(report: Report, format_: str) -> dict[str, set[str]]:
    """The verdicts of `typical` and `batch` in one format, by runtime."""
    by_runtime: dict[str, set[str]] = {}
    for cell in report.cells:
        if cell.format == format_ and cell.regime != "edge":
            by_runtime.setdefault(cell.runtime, set()).add(cell.verdict)
    return by_runtime


@pytest.mark.slow
def test_the_right_bundle_is_proven(reports: dict[str, Report]) -> None:
    report = reports["heads"]
    assert report.exit_status == 0
    assert report.ok
    for format_ in FORMATS:
        for runtime, seen in verdicts(report, format_).items():
            assert seen <= {"exact", "faithful"}, runtime


# A checkpoint has no outputs to drop or rename; its variables have their own test below.
CASES = [
    (fault, format_)
    for fault in (*FAULTS, "flipped byte")
    for format_ in FORMATS
    if format_ != "checkpoint" or fault in ("exponent bit", "nan", "flipped byte")
]


@pytest.mark.slow
@pytest.mark.parametrize(("fault", "format_"), CASES)
def test_every_fault_is_caught(fault: str, format_: str, reports: dict[str, Report]) -> None:
    report = reports[title(fault, format_)]
    assert report.exit_status == 1
    assert not report.ok
    by_runtime = verdicts(report, format_)
    assert by_runtime, "the format was run"
    for runtime, seen in by_runtime.items():
        assert seen & {"wrong", "failed"}, f"{runtime} saw nothing of it"
    for other in set(FORMATS) - {format_, *(("checkpoint",) if format_ == "savedmodel" else ())}:
        for seen in verdicts(report, other).values():
            assert seen <= {"exact", "faithful"}, f"{other} has no fault"


@pytest.mark.parametrize("fault", ["dropped", "renamed", "dtype", "other shape"])
def test_a_checkpoint_that_does_not_fit_is_caught(
    fault: str, right: Bundle, tmp_path: Path
) -> None:
    import tensorflow as tf

    def spoil(folder: Path) -> None:
        path = str(folder / "checkpoint" / "variables")
        module = tf.Module()
        module.w = tf.Variable(tf.constant(1.5))
        module.b = tf.Variable(tf.constant(-0.25))
        if fault in ("dropped", "renamed"):
            module.bb = module.b
            del module.b
        if fault == "dropped":
            del module.bb
        if fault == "dtype":
            module.b = tf.Variable(tf.constant(-0.25, tf.float64))
        if fault == "other shape":
            module.b = tf.Variable(tf.constant([-0.25]))
        tf.train.Checkpoint(model=module).write(path)

    bundle = damaged(right, tmp_path / fault, spoil)
    report = run_cells([bundle], [r for r in RUNTIMES if r.name == "tensorflow"])
    assert verdicts(report, "checkpoint") == {"tensorflow": {"failed"}}
    assert verdicts(report, "savedmodel")["tensorflow"] <= {"exact", "faithful"}
    assert report.exit_status == 1


def named(*names: str) -> list[Runtime]:
    return [runtime for runtime in RUNTIMES if runtime.name in names]


def cells(report: Report, verdict: str) -> list[Cell]:
    return [cell for cell in report.cells if cell.verdict == verdict]


@pytest.mark.parametrize(
    "fault", ["first batch twice", "second call of a size", "one row", "extra output", "empty"]
)
def test_a_runtime_that_answers_wrongly_is_caught_in_every_format(
    fault: str, bundles: dict[str, Bundle]
) -> None:
    report = run_cells(
        [bundles["quadratic"]], [with_faulty_runner(runtime, fault) for runtime in FAST]
    )
    assert report.exit_status == 1
    for format_ in FORMATS:
        for runtime, seen in verdicts(report, format_).items():
            assert "wrong" in seen, f"{runtime} on {format_}"


def test_a_run_on_another_backend_fails(bundles: dict[str, Bundle]) -> None:
    runtimes = [
        with_faulty_runner(r, "other backend") for r in named("tfjs-node-wasm", "litert", "keras")
    ]
    report = run_cells([bundles["quadratic"]], runtimes)
    assert {cell.verdict for cell in report.cells} == {"failed"}
    assert "computed by the backend 'another' instead" in report.cells[0].detail


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("crash", "killed by SIGSEGV"),
        ("exit", "exit status 1): out of memory in kernel 7"),
        ("hang", "passed the time limit of 2 s"),
        ("chatter", "not a JSON object: loading..."),
    ],
)
def test_a_failure_costs_one_case_and_leaves_no_process(
    fault: str, reason: str, bundles: dict[str, Bundle]
) -> None:
    runtimes = [with_faulty_runner(r, fault) for r in named("litert")] + named("litert-reference")
    report = run_cells([bundles["my_module"]], runtimes, limits=Limits(start=60, request=2))
    failed = cells(report, "failed")
    assert {cell.runtime for cell in failed} == {"litert"}
    assert reason in failed[0].detail
    # The fault comes at the second request to a process, and a fresh process follows each failure:
    # every second case fails, and the first, `typical`, does not.
    assert "typical" not in {cell.regime for cell in failed}
    assert len(cells(report, "exact")) == 4
    assert report.exit_status == 1
    assert not children(), "a process was left behind"


def children() -> list[str]:
    """Command lines of runners that still run below this process."""
    commands = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
            command = (path.parent / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
        if fields[1] == str(os.getpid()) and fields[0] != "Z" and "runner" in command:
            commands.append(command)
    return commands


def test_a_report_without_cells_does_not_pass(bundles: dict[str, Bundle], tmp_path: Path) -> None:
    assert run_cells([], FAST).exit_status == 1
    assert run_cells([bundles["quadratic"]], []).exit_status == 1
    copy = shutil.copytree(bundles["quadratic"].path, tmp_path / "none")
    manifest = bundles["quadratic"].manifest
    typical = tuple(vector for vector in manifest.vectors if vector.regime == "typical")
    bundle = rewrite_manifest(copy, manifest.model_copy(update={"vectors": typical}))
    report = run_cells([bundle], named("keras"))
    assert {c.regime for c in cells(report, "failed")} == {"batch"}
    assert "no vectors" in cells(report, "failed")[0].detail


def test_an_absent_runtime_does_not_pass(bundles: dict[str, Bundle]) -> None:
    absent = [replace(runtime, obstacle=lambda: "buy a phone") for runtime in named("litert")]
    report = run_cells([bundles["quadratic"]], absent)
    assert report.exit_status == 3
    assert {cell.verdict for cell in report.cells} == {"absent"}
    assert "buy a phone" in report.cells[0].detail
    both = run_cells([bundles["quadratic"]], absent + named("litert-reference"))
    # Every artifact ran in some runtime that is present, and nothing requested is missing.
    assert both.exit_status == 0
    requested = run_cells(
        [bundles["quadratic"]], absent + named("litert-reference"), requested=["litert"]
    )
    assert requested.exit_status == 3


def test_an_artifact_that_no_runtime_knows_does_not_pass(
    bundles: dict[str, Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portproof.runtimes.table.RUNTIMES", tuple(FAST))
    copy = shutil.copytree(bundles["quadratic"].path, tmp_path / "unknown")
    manifest = bundles["quadratic"].manifest
    (copy / "tflite").rename(copy / "coreml")
    artifacts = tuple(
        artifact.model_copy(
            update={
                "format": "coreml",
                "endpoints": {
                    name: endpoint.model_copy(
                        update={"path": "coreml/quadratic.tflite", "one_row": None}
                    )
                    for name, endpoint in artifact.endpoints.items()
                },
            }
        )
        if artifact.name == "tflite"
        else artifact
        for artifact in manifest.artifacts
    )
    rewrite_manifest(copy, manifest.model_copy(update={"artifacts": artifacts}))
    report = portproof.verify(copy)
    assert report.exit_status == 3
    assert report.unchecked == ["no runtime knows quadratic coreml"]


def test_a_requested_runtime_with_nothing_to_run_does_not_pass(
    right: Bundle, tmp_path: Path
) -> None:
    copy = shutil.copytree(right.path, tmp_path / "without")
    without = [a for a in right.manifest.artifacts if a.format != "keras"]
    bundle = rewrite_manifest(copy, right.manifest.model_copy(update={"artifacts": tuple(without)}))
    report = run_cells([bundle], named("litert", "keras"), requested=["litert", "keras"])
    assert report.exit_status == 3
    assert report.unchecked == ["runtime keras had nothing to run"]
