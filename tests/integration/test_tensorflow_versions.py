"""Export and verification beside other versions of TensorFlow, with their Keras and NumPy."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import uv

from portproof.bundle.bundle import REPORT
from portproof.bundle.report import Report
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.slow

MODELS = ("quadratic", "my_module", "quadratic_keras")
RUNTIMES = ("tensorflow", "keras", "litert", "litert@1.4.0", "tfjs-node-cpu")
# The oldest, and the last before ours. Beside the oldest, every package is at the lower bound that
# pyproject.toml states.
RESOLUTIONS = {"2.16": "lowest-direct"}


def run(folder: Path, *command: str | Path) -> None:
    environment = {
        **os.environ,
        "PORTPROOF_CACHE": str(folder / "cache"),
        "PYTHONPATH": str(REPOSITORY),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("version", RESOLUTIONS)
def test_models_are_exported_and_proven(
    version: str, wheel: Path, training: Path, tmp_path: Path
) -> None:
    tool = str(uv.find_uv_bin())
    run(tmp_path, tool, "venv", "--quiet", "--python", sys.executable, "environment")
    environment = tmp_path / "environment" / "bin"
    install: list[str | Path] = [
        tool,
        "pip",
        "install",
        "--quiet",
        "--python",
        environment / "python",
    ]
    project = ("-r", REPOSITORY / "pyproject.toml", "--extra=tensorflow", "--extra=plots")
    resolution = ("--resolution", RESOLUTIONS[version])
    run(tmp_path, *install, *resolution, *project, f"tensorflow=={version}.*")
    run(tmp_path, *install, "--no-deps", wheel)
    (tmp_path / "training").symlink_to(training)
    portproof = environment / "portproof"
    run(tmp_path, portproof, "export", *(f"export.{name}:source" for name in MODELS))
    run(tmp_path, portproof, "verify", *(f"--runtime={name}" for name in RUNTIMES))
    for name in MODELS:
        path = tmp_path / "artifacts" / name / REPORT
        report = Report.model_validate_json(path.read_text())
        assert {cell.runtime for cell in report.cells if cell.passed} == set(RUNTIMES)
        used = report.environment.runtimes["tensorflow"]["tensorflow"]
        assert used.startswith(f"{version}.")
