"""The command line, as users and scripts run it."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from portproof.bundle.bundle import Bundle
from portproof.bundle.report import Report

PORTPROOF = str(Path(sys.executable).with_name("portproof"))


def run(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [PORTPROOF, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture
def artifacts(bundles: dict[str, Bundle], tmp_path: Path) -> Path:
    for name, bundle in bundles.items():
        shutil.copytree(bundle.path, tmp_path / "artifacts" / name)
    return tmp_path / "artifacts"


def test_verify_proves_every_bundle(artifacts: Path) -> None:
    runtimes = ("tensorflow", "keras", "litert", "onnxruntime", "tfjs-node-cpu")
    chosen = [word for name in runtimes for word in ("--runtime", name)]
    done = run("verify", *chosen, "--json", "out/all.json", cwd=artifacts.parent)
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1] == "proven: 3 of 3 models"
    assert {line.split(":")[0] for line in done.stderr.splitlines()} == {
        cell.runtime
        for cell in Report.model_validate_json(
            (artifacts / "quadratic_keras" / "report.json").read_text()
        ).cells
        if cell.verdict != "absent"
    }
    whole = Report.model_validate_json((artifacts.parent / "out" / "all.json").read_text())
    assert whole.ok
    assert set(whole.bundle) == {"quadratic", "my_module", "quadratic_keras"}
    for name in whole.bundle:
        single = Report.model_validate_json((artifacts / name / "report.json").read_text())
        assert single.ok
        assert [c for c in whole.cells if c.model == name] == single.cells


def test_the_json_has_the_documented_fields(artifacts: Path) -> None:
    run("verify", artifacts / "my_module", "--runtime", "litert", "--json", artifacts / "r.json")
    report = json.loads((artifacts / "r.json").read_text())
    assert {"schema", "ok", "bundle", "environment", "cells", "sizes", "curves"} <= report.keys()
    fields = "runtime host model format variant signature output regime verdict max_abs mean_abs"
    fields += " row_mean_abs max_rel mean_rel max_ulp sqnr row_sqnr cosine row_cosine equal flushed"
    fields += (
        " error_ratio bound_ratio bound_mean shader_ratio share_of_range relative_bound"
        " same_largest accuracy reference_accuracy labelled worst samples seconds detail lacks"
        " envelope errors"
    )
    assert list(report["cells"][0]) == fields.split()
    typical = report["cells"][0]
    assert (typical["runtime"], typical["regime"], typical["verdict"]) == (
        "litert",
        "typical",
        "exact",
    )
    assert typical["samples"] == 204
    assert report["environment"]["runtimes"]["litert"]["ai-edge-litert"]


def test_strict_makes_edge_cases_count(artifacts: Path) -> None:
    """The reference kernels give the largest float for infinity, which is an edge."""
    bundle, runtime = artifacts / "quadratic", ("--runtime", "litert-reference")
    assert run("verify", bundle, *runtime).returncode == 0
    assert not json.loads((bundle / "report.json").read_text())["strict"]
    done = run("verify", bundle, *runtime, "--strict")
    assert done.returncode == 1
    assert "not proven" in done.stdout
    report = json.loads((bundle / "report.json").read_text())
    assert report["strict"]
    assert not report["ok"]


def test_a_changed_file_is_refused_before_anything_runs(artifacts: Path) -> None:
    file = artifacts / "quadratic" / "savedmodel" / "saved_model.pb"
    file.write_bytes(file.read_bytes()[:-1] + b"\0")
    done = run("verify", artifacts / "quadratic")
    assert done.returncode == 1
    assert "refused" in done.stdout
    assert "savedmodel/saved_model.pb" in done.stdout
    assert not json.loads((artifacts / "quadratic" / "report.json").read_text())["ok"]


def test_a_refused_bundle_does_not_stop_the_others(artifacts: Path) -> None:
    (artifacts / "quadratic" / "tflite" / "quadratic.tflite").unlink()
    done = run("verify", "--runtime", "litert", cwd=artifacts.parent)
    assert done.returncode == 1
    assert "tflite/quadratic.tflite is missing" in done.stdout
    assert "my_module proven" in done.stdout
    assert done.stdout.splitlines()[-1] == "not proven: 1 of 3 models: artifacts/quadratic"
    assert json.loads((artifacts / "my_module" / "report.json").read_text())["ok"]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["verify", "nowhere"], 1, "there is no bundle nowhere"),
        (["verify"], 2, "portproof export"),
        (
            ["verify", "nowhere", "--runtime", "abacus"],
            2,
            "they are tensorflow, tensorflow-c, keras",
        ),
        (["show", "nowhere"], 1, "there is no bundle nowhere"),
        (
            ["export", "cubic"],
            2,
            "there is no cubic: give a .keras or .h5 file, a SavedModel folder",
        ),
        (["export"], 2, "name a model, or write a portproof.toml"),
        (["export", "a.b:c", "--format", "coreml"], 2, "'coreml': they are savedmodel"),
        (["export", "a.b:c", "a.b:d", "--inputs", "x.npy"], 2, "of one model"),
        (["frobnicate"], 2, "No such command"),
    ],
)
def test_wrong_usage_is_one_message(
    arguments: list[str], status: int, message: str, tmp_path: Path
) -> None:
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == status
    assert message in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_an_unwritable_path_is_one_message(artifacts: Path) -> None:
    (artifacts / "file").write_text("in the way")
    json_path = artifacts / "file" / "report.json"
    done = run("verify", artifacts / "my_module", "--runtime", "litert", "--json", json_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in done.stderr


def test_a_bundle_that_cannot_be_written_to_is_verified_too(artifacts: Path) -> None:
    report = artifacts / "my_module" / "report.json"
    report.unlink(missing_ok=True)  # another test may have verified the shared bundle
    report.mkdir()  # root may write into any folder
    done = run("verify", artifacts / "my_module", "--runtime", "litert")
    assert done.returncode == 0
    assert "report.json; Is a directory" in done.stdout
    assert "proven" in done.stdout


@pytest.mark.slow
def test_nothing_is_wider_than_80_columns_in_a_terminal(artifacts: Path) -> None:
    printed = in_terminal([PORTPROOF, "verify", str(artifacts / "quadratic")], columns=80)
    assert "proven" in printed
    words = set(printed.split())
    assert words >= {"savedmodel", "checkpoint", "keras", "tflite", "float16", "int8", "tfjs-graph"}
    assert words >= {"tensorflow", "litert", "tfjs-node-wasm"}
    assert max(map(len, printed.splitlines())) <= 80


def in_terminal(command: list[str], columns: int) -> str:
    """What a command writes to a terminal, without its control sequences."""
    script = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"
    environment = {**os.environ, "COLUMNS": str(columns), "NO_COLOR": "1", "TERM": "xterm"}
    done = subprocess.run(
        [sys.executable, "-c", script, *command],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", done.stdout.replace("\r", "\n"))
