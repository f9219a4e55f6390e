"""Small bundles of every released schema: `python -m tests.helpers.old_bundles` adds ours."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import keras
import numpy as np

import portproof
from portproof.bundle.manifest import SCHEMA
from tests.conftest import REPOSITORY

FOLDER = REPOSITORY / "tests" / "fixtures" / "bundles"
FORMATS = ("keras", "tflite", "tflite int8", "onnx", "onnx int8", "tfjs-graph", "tfjs-layers")
RUNTIMES = ("keras", "litert", "onnxruntime", "tensorflow", "tfjs-node-cpu")


def main() -> None:
    """Export a small model to most formats, verify it, and keep it as a zip file."""
    keras.utils.set_random_seed(1)
    x = keras.Input((4,), name="x")
    hidden = keras.layers.Dense(6, "tanh")(x)
    model = keras.Model(x, {"y": keras.layers.Dense(3)(hidden)})
    data = np.random.default_rng(1).normal(size=(24, 4)).astype(np.float32)
    with TemporaryDirectory() as folder:
        bundle = portproof.export(model, Path(folder, "small"), inputs={"x": data}, formats=FORMATS)
        report = portproof.verify(bundle.path, runtimes=RUNTIMES)
        assert report.ok, report.failures
        (bundle.path / "report.html").unlink()
        name = FOLDER / f"schema-{SCHEMA.rpartition('/')[2]}"
        print(shutil.make_archive(str(name), "zip", folder, "small"))


if __name__ == "__main__":
    main()
