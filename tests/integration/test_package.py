"""The built package: plain pip installs it, and it proves a model beside a user's own modules."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

pytestmark = pytest.mark.slow

# Names that a user's own modules may have: none of them may be installed by our package.
USERS_MODULES = ("export", "verify", "bundle", "oracle", "test", "formats", "runtimes")

MODELS = """
import keras

def build():
    x = keras.Input((3,), name="x")
    hidden = keras.layers.Dense(8, "relu")(x)
    return keras.Model(x, {"y": keras.layers.Dense(2)(hidden)}, name="mine")
"""

SCRIPT = """
import sys
import export, verify, bundle, oracle, test, formats, runtimes
assert export.MINE and verify.MINE and bundle.MINE and oracle.MINE and formats.MINE
import numpy as np
import portproof
import models

inputs = {"x": np.eye(3, dtype="float32")}
bundle = portproof.export(models.build(), "artifacts/mine", inputs=inputs)
assert "tfjs-graph" in [artifact.format for artifact in bundle.manifest.artifacts]
report = portproof.verify(bundle.path, runtimes=["tensorflow", "keras", "litert"])
assert report.ok, report.failures
print({cell.runtime for cell in report.cells if cell.passed})
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
    [path] = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts of an empty environment into which plain pip has installed the wheel."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(folder / "bin" / "pip"), "install", "--quiet", str(wheel)]
    subprocess.run(pip, cwd=folder, env=bare(folder), check=True)
    return folder / "bin"


def bare(home: Path) -> dict[str, str]:
    """An environment without this repository's settings, but with those for package registries."""
    prefixes = ("PIP_", "SSL_", "REQUESTS_")
    settings = {name: value for name, value in os.environ.items() if name.startswith(prefixes)}
    return {"PATH": "/usr/bin:/bin", "HOME": str(home), "TF_CPP_MIN_LOG_LEVEL": "3", **settings}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A user's folder, with modules named as our folders are."""
    for name in USERS_MODULES:
        (tmp_path / f"{name}.py").write_text("MINE = True\n")
    (tmp_path / "models.py").write_text(MODELS)
    (tmp_path / "prove.py").write_text(SCRIPT)
    return tmp_path


def run(project: Path, *command: str | Path) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        cwd=project,
        env=bare(project),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_holds_one_package(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {"portproof", "portproof-0.1.0.dist-info"}
    assert not [name for name in names if "node_modules" in name or name.endswith("tensorflow_c")]
    needed = (
        "py.typed",
        "reporting/templates/card.md.j2",
        "reporting/templates/report.html.j2",
        "runtimes/js/loop.mjs",
        "runtimes/js/package-lock.json",
        "runtimes/js/page/tfjs.html",
        "runtimes/c/tensorflow_c.c",
    )
    assert {f"portproof/{name}" for name in needed} <= set(names)


def test_only_portproof_and_its_dependencies_are_installed(environment: Path) -> None:
    [packages] = environment.parent.glob("lib/python3*/site-packages")
    clashing = [path.name for path in packages.iterdir() if path.name in USERS_MODULES]
    assert not clashing
    assert (packages / "portproof" / "py.typed").is_file()
    freeze = run(environment.parent, environment / "pip", "list", "--format=freeze")
    installed = {line.split("==")[0].lower() for line in freeze.splitlines()}
    assert {"portproof", "tensorflow", "ai-edge-litert"} <= installed
    assert not installed & {"tensorflowjs", "tensorflow-decision-forests", "jax", "tf-keras"}


def test_a_script_beside_modules_with_our_folders_names_proves_a_model(
    environment: Path, project: Path
) -> None:
    printed = run(project, environment / "python", "prove.py")
    assert {"tensorflow", "keras", "litert"} <= eval(printed.splitlines()[-1])


def test_the_commands_prove_a_model(environment: Path, project: Path) -> None:
    portproof = environment / "portproof"
    run(project, portproof, "export", "models:build")
    named = ("--runtime", "tensorflow", "--runtime", "litert")
    assert "proven: " in run(project, portproof, "verify", "artifacts/build", *named)
    assert "here" in run(project, portproof, "runtimes")
    assert "serving_default" in run(project, portproof, "show")
