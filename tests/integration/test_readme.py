"""The documents' commands, examples and tables are those of the program."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import portproof
from portproof.bundle.bundle import REPORT, Bundle
from portproof.bundle.report_files import read_report
from portproof.runtimes.table import RUNTIMES
from tests.conftest import REPOSITORY

README = (REPOSITORY / "README.md").read_text()
DOCS = {path.stem: path.read_text() for path in (REPOSITORY / "docs").glob("*.md")}
SCRIPTS = Path(sys.executable).parent


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 150


def shell(command: str, cwd: Path) -> str:
    environment = {**os.environ, "PATH": f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        command, shell=True, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_first_code_block_has_the_two_commands() -> None:
    first, *_ = blocks("sh")
    assert [line.split("#")[0].strip() for line in first.splitlines()] == ["make", "make test"]


@pytest.mark.slow
def test_the_commands_run_as_written(tmp_path: Path) -> None:
    [commands] = [block for block in blocks("sh", DOCS["commands"]) if "export" in block]
    shutil.copytree(REPOSITORY / "export", tmp_path / "export")
    for line in commands.splitlines():
        assert shell(f"{line.split('#')[0]} 2>&1", tmp_path)
    assert (tmp_path / "artifacts" / "quadratic" / "report.json").is_file()


@pytest.mark.slow
def test_the_python_example_runs_as_written(tmp_path: Path) -> None:
    [example] = blocks("python", DOCS["own-model"])
    (tmp_path / "example.py").write_text(example)
    shell(f"{sys.executable} example.py", tmp_path)
    assert Bundle.open(tmp_path / "artifacts" / "scale").manifest.signatures.keys() == {"scale"}


@pytest.mark.slow
def test_a_users_own_model_is_proven_by_the_commands_shown(tmp_path: Path) -> None:
    shown = re.compile(r"<!-- (?:own model|other versions).*?-->\n```console\n(.*?)```", re.DOTALL)
    own_model, again, other_versions = (
        block.splitlines() for block in shown.findall(README + DOCS["own-model"])
    )
    assert own_model == again
    x = keras.Input((3,), name="x")
    keras.Model(x, {"y": keras.layers.Dense(40, "relu")(x)}).save(tmp_path / "my_model.keras")
    np.savez(tmp_path / "data.npz", x=np.linspace(-1, 1, 60).reshape(20, 3))
    *_, printed = [shell(command, tmp_path) for command in own_model]
    assert "proven: " in printed
    *_, printed = [shell(command, tmp_path) for command in other_versions]
    assert "proven: " in printed
    assert "litert@1.4.0" in printed
    assert "tfjs-node-wasm@4.10.0" in printed
    bundle = Bundle.open(tmp_path / "artifacts" / "my_model")
    assert "tflite int8" in [artifact.name for artifact in bundle.manifest.artifacts]


@pytest.mark.slow
def test_files_of_a_package_are_proven_by_the_commands_shown(tmp_path: Path) -> None:
    [block] = re.findall(
        r"<!-- foreign.*?-->\n```console\n(.*?)```", DOCS["check"], flags=re.DOTALL
    )
    commands = block.strip().replace("pip download", f"{sys.executable} -m pip download")
    printed = shell(" && ".join(commands.splitlines()), tmp_path)
    assert len(re.findall(r"nmp\.\w+\.checked proven: ", printed)) == 2


def test_the_example_of_a_format_equals_its_file() -> None:
    shown, _ = blocks("py", DOCS["plugins"])
    assert shown == (REPOSITORY / "examples" / "numpy_format.py").read_text()


def test_the_workflow_equals_its_file() -> None:
    [shown] = blocks("yaml", DOCS["ci"])
    assert shown == (REPOSITORY / "examples" / "github" / "portproof.yml").read_text()


def test_the_workflows_commands_and_options_exist() -> None:
    workflow = (REPOSITORY / "examples" / "github" / "portproof.yml").read_text()
    commands = re.findall(r"portproof (?:export|verify|publish)[^\n;]*", workflow)
    used = set(re.findall(r"--[a-z-]+", " ".join(commands)))
    assert used == {"--inputs", "--junit", "--quiet", "--version"}
    for command in ("export", "verify", "publish"):
        assert f"portproof {command}" in workflow
    for option, command in zip(
        sorted(used), ("export", "verify", "verify", "publish"), strict=True
    ):
        assert option in shell(f"portproof {command} --help", REPOSITORY)


@pytest.mark.slow
def test_a_bundle_is_published_and_verified_as_shown(tmp_path: Path) -> None:
    [commands] = [block for block in blocks("console", DOCS["publishing"]) if "publish" in block]
    made = REPOSITORY / "artifacts" / "quadratic"  # by `make`, which proved it
    shutil.copytree(made, tmp_path / "artifacts" / "quadratic")
    for line in re.findall(r"`(openssl .*?)`", DOCS["publishing"]):
        shell(line, tmp_path)
    for command in commands.splitlines():  # into a folder: test_publish.py tests S3
        stdout = shell(command.replace("s3://bucket", tmp_path.as_uri()), tmp_path)
    assert "proven: " in stdout


def test_the_table_is_the_one_that_make_printed(capsys: pytest.CaptureFixture[str]) -> None:
    [shown] = re.findall(r"<!-- table.*?-->\n```\n(.*?)```", README, flags=re.DOTALL)
    report = read_report(REPOSITORY / "artifacts" / "quadratic_keras" / REPORT)
    # Others may be set up beside those that `make` sets up.
    others = {runtime.name for runtime in RUNTIMES if runtime.only_by_name}
    kept = [cell for cell in report.cells if cell.runtime not in others]
    portproof.print_report(report.model_copy(update={"cells": kept}))
    printed = capsys.readouterr().out
    assert without_figures(shown) == without_figures(printed)
    assert shown.splitlines()[-1].startswith("quadratic_keras proven: ")


def without_figures(table: str) -> list[list[str]]:
    """A table without its figures, which may differ on another processor."""
    rows = [line for line in table.splitlines() if "  " in line.strip() and ":" not in line]
    verdict = re.compile(r"^(exact|faithful|close)( -?\d+ (ulp|dB)| \de-\d+)?$")
    return [
        ["" if verdict.match(entry) else entry for entry in re.split(r"\s{2,}", row.strip())]
        for row in rows
    ]


@pytest.mark.parametrize(
    "name", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "artifacts/README.md"]
)
def test_links_and_paths_exist(name: str) -> None:
    text = (REPOSITORY / name).read_text()
    for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (REPOSITORY / name).parent.joinpath(link).exists(), link
    for path in re.findall(r"`((?:export|verify|bundle|tests)/[\w/]+\.\w+)`", text):
        assert (REPOSITORY / path).exists(), path
