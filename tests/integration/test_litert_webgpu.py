"""LiteRT's WebGPU accelerator in Python: that it ran is said, and how much of a file it took."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import portproof
from portproof.bundle.report import Cell

ROWS = np.random.default_rng(3).standard_normal((8, 12)).astype(np.float32)
INDICES = np.random.default_rng(4).integers(0, 9, (8, 12)).astype(np.int32)
TABLE = np.random.default_rng(5).standard_normal((9, 3)).astype(np.float32)


class _Parts(tf.Module):  # type: ignore[misc]
    """All of `dense` runs in shaders, a part of `summed`, and nothing of `found`."""

    @tf.function(input_signature=[tf.TensorSpec([None, 12], tf.float32, name="x")])
    def dense(self, x: Any) -> dict[str, Any]:
        weights = tf.constant(np.arange(36, dtype=np.float32).reshape(12, 3) / 36)
        return {"y": tf.tanh(x @ weights) + 0.5}

    @tf.function(input_signature=[tf.TensorSpec([None, 12], tf.int32, name="x")])
    def summed(self, x: Any) -> dict[str, Any]:
        return {"y": tf.exp(tf.reduce_mean(tf.gather(tf.constant(TABLE), x), 1))}

    @tf.function(input_signature=[tf.TensorSpec([None, 12], tf.int32, name="x")])
    def found(self, x: Any) -> dict[str, Any]:
        return {"y": tf.gather(tf.constant(TABLE), x)}


def _cells(name: str, folder: Path) -> list[Cell]:
    inputs = ROWS if name == "dense" else INDICES
    bundle = portproof.export(
        _Parts(), folder / name, signatures=[name], inputs=inputs, formats=["tflite"]
    )
    report = portproof.verify(bundle.path, runtimes=["litert-webgpu"])
    return [cell for cell in report.cells if cell.regime == "typical"]


@pytest.mark.parametrize(
    ("name", "note"),
    [("dense", r"\d operations on WebGPU"), ("summed", r"\d operations on WebGPU, \d on the CPU")],
)
def test_the_accelerator_says_how_many_operations_it_took(
    name: str, note: str, tmp_path: Path
) -> None:
    [cell] = _cells(name, tmp_path)
    assert cell.verdict in ("exact", "faithful", "close"), cell
    assert re.search(note, cell.detail), cell.detail


def test_a_file_of_which_it_takes_nothing_is_unsupported(tmp_path: Path) -> None:
    [cell] = _cells("found", tmp_path)
    assert (cell.verdict, cell.lacks) == ("unsupported", "a shader for any of its ops")


def test_without_a_driver_it_has_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "driver.json").write_text("{}")
    monkeypatch.setenv("VK_DRIVER_FILES", str(tmp_path / "driver.json"))
    [cell] = _cells("dense", tmp_path)
    assert cell.verdict == "failed"
