"""`portproof.toml`: what it says is done, and done again only where something has changed."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from portproof.bundle.errors import UsageError
from portproof.project import find_project
from tests.conftest import REPOSITORY

SCRIPTS = Path(sys.executable).parent


def run(*arguments: str, cwd: Path) -> Any:
    command = [str(SCRIPTS / "portproof"), *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, its data and its settings, exported and verified."""
    folder = tmp_path_factory.mktemp("project")
    x = keras.Input((3,), name="x")
    keras.Model(x, {"y": keras.layers.Dense(4)(x)}).save(folder / "my_model.keras")
    np.savez(folder / "my_model.npz", x=np.linspace(-1, 1, 60).reshape(20, 3))
    assert run("init", cwd=folder).returncode == 0
    settings = (
        (folder / "portproof.toml").read_text().replace("targets = []", 'targets = ["litert"]')
    )
    (folder / "portproof.toml").write_text(settings + 'formats = ["tflite"]\n')
    exported = run("export", cwd=folder)
    assert exported.returncode == 0, exported.stderr
    verified = run("verify", cwd=folder)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    return folder


def test_init_writes_what_it_found(project: Path) -> None:
    [model] = tomllib.loads((project / "portproof.toml").read_text())["models"].values()
    assert model["source"] == "my_model.keras"
    assert model["inputs"] == "my_model.npz"
    again = run("init", cwd=project)
    assert again.returncode == 2
    assert "is there already" in again.stderr


def test_init_adds_what_came_later(tmp_path: Path) -> None:
    (tmp_path / "first.keras").touch()
    (tmp_path / "rows.npz").touch()
    assert run("init", cwd=tmp_path).returncode == 0
    file = tmp_path / "portproof.toml"
    file.write_text(file.read_text().replace("targets = []", 'targets = ["litert"]'))
    (tmp_path / "second.keras").touch()
    done = run("init", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "with second" in done.stdout
    settings = tomllib.loads(file.read_text())
    assert settings["targets"] == ["litert"]
    assert settings["models"] == {
        # There was one model and one file of arrays; now nobody knows whose it is.
        "first": {"source": "first.keras", "inputs": "rows.npz"},
        "second": {"source": "second.keras"},
    }


def test_what_is_up_to_date_is_not_done_again(project: Path) -> None:
    manifest = project / "artifacts" / "my_model" / "manifest.json"
    before = manifest.stat().st_mtime_ns
    exported = run("export", cwd=project)
    assert exported.stdout == "my_model is up to date\n"
    assert not exported.stderr  # TensorFlow was not started
    assert manifest.stat().st_mtime_ns == before
    verified = run("verify", cwd=project)
    assert verified.returncode == 0
    assert "my_model is up to date" in verified.stderr
    assert "proven" in verified.stdout


def test_another_setting_or_input_is_done_again(project: Path) -> None:
    data = project / "my_model.npz"
    content = data.read_bytes()
    np.savez(data, x=np.linspace(-2, 2, 60).reshape(20, 3))
    assert "exported artifacts/my_model" in run("export", cwd=project).stdout
    data.write_bytes(content)
    assert "exported artifacts/my_model" in run("export", cwd=project).stdout


def test_targets_decide(project: Path) -> None:
    settings = project / "portproof.toml"
    text = settings.read_text()
    settings.write_text(text.replace('targets = ["litert"]', 'targets = ["keras-torch"]'))
    try:
        done = run("verify", cwd=project)
        assert done.returncode == 3, done.stdout
        assert "keras-torch had nothing to run" in done.stdout
    finally:
        settings.write_text(text)


def test_a_target_is_in_the_report(project: Path) -> None:
    run("verify", "--force", cwd=project)
    report = json.loads((project / "artifacts" / "my_model" / "report.json").read_text())
    assert report["targets"] == {"my_model": ["litert"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[models.x]\n", "models.x.source: Field required"),
        (
            "[models.x]\nsource = 'm'\ntarget = ['a']\n",
            "no setting models.x.target: do you mean targets",
        ),
        ("[models\n", "is not TOML"),
        ("[models.x]\nsource='m'\n[models.x.floors.int8]\nsame_largest=2.0\n", "same_largest"),
    ],
)
def test_damaged_settings_are_one_message(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "portproof.toml").write_text(text)
    with pytest.raises(UsageError, match=re.escape(message)):
        find_project(tmp_path)
    done = run("export", cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_settings_in_pyproject_are_read_from_below(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.portproof.models.x]\nsource = 'm'\n")
    (tmp_path / "below").mkdir()
    found = find_project(tmp_path / "below")
    assert found
    assert found.root == tmp_path
    assert found.bundle("x") == tmp_path / "artifacts" / "x"


def test_the_settings_that_the_documents_show_are_settings(tmp_path: Path) -> None:
    page = (REPOSITORY / "docs" / "targets.md").read_text()
    [shown] = re.findall(r"<!-- settings.*?-->\n```toml\n(.*?)```", page, flags=re.DOTALL)
    (tmp_path / "portproof.toml").write_text(shown)
    project = find_project(tmp_path)
    assert project
    assert project.floors("my_model")["int8"].sqnr == 20.0
    assert project.floors("my_model")["int8"].same_largest == 0.8


@pytest.mark.parametrize("way", ["sandbox", "trust", "project"])
def test_a_model_that_cannot_be_exported_does_not_stop_the_others(way: str, tmp_path: Path) -> None:
    (tmp_path / "a.keras").write_text("nonsense")
    x = keras.Input((3,), name="x")
    keras.Model(x, {"y": keras.layers.Dense(4)(x)}).save(tmp_path / "b.keras")
    words = ["a.keras", "b.keras", "--format", "tflite"]
    if way == "project":
        tables = (f'[models.{n}]\nsource = "{n}.keras"\nformats = ["tflite"]\n' for n in "ab")
        (tmp_path / "portproof.toml").write_text("".join(tables))
        words = []
    done = run("export", *words, *(["--trust"] if way == "trust" else []), cwd=tmp_path)
    assert done.returncode == 1
    assert (tmp_path / "artifacts" / "b" / "manifest.json").is_file()
    assert not (tmp_path / "artifacts" / "a").exists()
    word = "made" if way == "sandbox" else "exported"
    assert re.search(rf"^{word} artifacts/b\b", done.stdout, re.MULTILINE), done.stdout
    assert "is not a whole .keras file" in done.stderr
    assert "1 of 2 not exported: a" in done.stderr
    assert "Traceback" not in done.stderr
