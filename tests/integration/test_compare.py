"""What changed from one bundle, file or version of a runtime to another."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import portproof
from portproof.bundle.bundle import Bundle
from verify.faults.damage import rewrite_manifest


def run(*words: object) -> tuple[int, str]:
    command = [sys.executable, "-m", "portproof", "compare", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def old(bundles: dict[str, Bundle], tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(bundles["quadratic_keras"].path, tmp_path / "old"))
    for name in ("report.json", "report.html"):
        (folder / name).unlink(missing_ok=True)
    portproof.verify(folder, runtimes=["litert", "onnxruntime"])
    return folder


def test_the_same_bundle_has_no_regression(old: Path, tmp_path: Path) -> None:
    new = shutil.copytree(old, tmp_path / "new")
    status, printed = run(old, new, "--markdown", tmp_path / "changes.md")
    assert status == 0
    assert "no regression; 6 artifacts in runtimes were compared, 6 of them are the same" in printed
    assert (tmp_path / "changes.md").read_text().startswith("### no regression")


def test_a_damaged_artifact_is_a_regression(old: Path, tmp_path: Path) -> None:
    new = Path(shutil.copytree(old, tmp_path / "new"))
    manifest = Bundle.open(new).manifest
    [plain] = [a for a in manifest.artifacts if a.name == "onnx"]
    [variant] = [a for a in manifest.artifacts if a.name == "onnx float16"]
    # Coarser numbers than float32 allows, under its name.
    shutil.copyfile(new / variant.files[0].path, new / plain.files[0].path)
    rewrite_manifest(new, manifest)
    portproof.verify(new, runtimes=["litert", "onnxruntime"])
    status, printed = run(old, new, "--markdown", tmp_path / "changes.md")
    assert status == 1
    assert "faithful → wrong" in printed
    assert "times the rounding error allowed" in printed
    page = (tmp_path / "changes.md").read_text()
    assert "| ❌ worse | quadratic_keras onnx | onnxruntime | faithful → wrong |" in page
    status, printed = run(new, old)
    assert status == 0
    assert "wrong → faithful" in printed


def test_a_format_that_is_gone_is_a_regression(old: Path, tmp_path: Path) -> None:
    new = Path(shutil.copytree(old, tmp_path / "new"))
    manifest = Bundle.open(new).manifest
    kept = tuple(a for a in manifest.artifacts if a.format != "onnx")
    rewrite_manifest(new, manifest.model_copy(update={"artifacts": kept}))
    (new / "report.json").unlink()
    portproof.verify(new, runtimes=["litert"])
    status, printed = run(old, new)
    assert status == 1
    assert "gone" in printed


def test_a_file_that_was_changed_is_not_taken_at_its_reports_word(
    old: Path, tmp_path: Path
) -> None:
    new = Path(shutil.copytree(old, tmp_path / "new"))
    [artifact] = [a for a in Bundle.open(new).manifest.artifacts if a.name == "onnx"]
    with (new / artifact.files[0].path).open("ab") as file:
        file.write(b"x")
    status, printed = run(old, new)
    assert status == 2
    assert "is not the file that was exported" in printed


def test_a_report_alone_is_enough(old: Path, tmp_path: Path) -> None:
    report = json.loads((old / "report.json").read_text())
    for cell in report["cells"]:
        if cell["runtime"] == "litert" and cell["variant"] == "int8":
            cell["verdict"] = "failed"
    (tmp_path / "new.json").write_text(json.dumps(report))
    status, printed = run(old / "report.json", tmp_path / "new.json")
    assert status == 1
    assert "close → failed" in printed


def test_two_versions_of_a_runtime(old: Path) -> None:
    status, printed = run(old, "--runtime", "litert@1.4.0", "--runtime", "litert")
    assert status == 0
    assert "3 artifacts in runtimes were compared" in printed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["OLD"], "name a second bundle, or two runtimes"),
        (["OLD", "nothing"], "nothing is no bundle"),
        (["OLD", "bad.json"], "is no report: "),
    ],
)
def test_what_cannot_be_compared_is_a_line(
    old: Path, tmp_path: Path, words: list[str], message: str
) -> None:
    (tmp_path / "bad.json").write_text("{}")
    known = {"OLD": old, "bad.json": tmp_path / "bad.json"}
    status, printed = run(*[known.get(word, word) for word in words])
    assert status == 2
    assert message in printed
    assert "Traceback" not in printed
