"""A user's own formats and runtimes, as README.md shows them."""

import subprocess
import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import portproof
from portproof.formats import table as formats
from portproof.runtimes import table as runtimes
from tests.conftest import REPOSITORY

EXAMPLE = REPOSITORY / "examples" / "numpy_format.py"


class Scale(tf.Module):
    def __init__(self) -> None:
        super().__init__(name="scale")
        self.factor = tf.Variable(2.5)

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="x")])
    def scale(self, x: Any) -> dict[str, Any]:
        return {"y": self.factor * x}


def load_example() -> Any:
    """The module of examples/numpy_format.py."""
    spec = spec_from_file_location("numpy_format", EXAMPLE)
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(formats, "_added", [])
    monkeypatch.setattr(runtimes, "_added", [])
    return load_example()


def test_a_users_own_format_and_runtime_are_added_by_a_call(example: Any, tmp_path: Path) -> None:
    portproof.add_format(example.FORMAT)
    portproof.add_runtime(example.RUNTIME)
    chosen = ["numpy", "tflite"]
    inputs = {"x": np.eye(3, 2, dtype=np.float32)}
    bundle = portproof.export(Scale(), tmp_path / "scale", inputs=inputs, formats=chosen)
    assert [a.name for a in bundle.manifest.artifacts] == ["savedmodel", "tflite", "numpy"]
    report = portproof.verify(bundle.path, runtimes=["numpy", "litert"])
    assert report.ok, report.failures
    assert {c.runtime for c in report.cells if c.format == "numpy"} == {"numpy"}
    np.save(bundle.path / "numpy" / "factor.npy", np.float32(2.5000002))
    assert not portproof.verify(bundle.path, runtimes=["numpy"]).ok


def test_an_installed_package_adds_its_format_and_runtime(tmp_path: Path) -> None:
    (tmp_path / "numpy_format.py").write_text(EXAMPLE.read_text())
    package = tmp_path / "numpy_format-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy-format\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text(
        "[portproof.formats]\nnumpy = numpy_format:FORMAT\n"
        "[portproof.runtimes]\nnumpy = numpy_format:RUNTIME\n"
    )
    script = str(Path(sys.executable).with_name("portproof"))
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(tmp_path), "HOME": str(tmp_path)}
    run = {"env": environment, "capture_output": True, "text": True}
    listed = subprocess.run([script, "runtimes"], check=True, **run)  # type: ignore[call-overload]
    assert any(line.split() == ["numpy", "here"] for line in listed.stdout.splitlines())
    refused = subprocess.run(
        [script, "export", "models:build", "--format", "x"], check=False, **run
    )  # type: ignore[call-overload]
    assert refused.returncode == 2
    assert "tfjs-layers, numpy" in refused.stderr
