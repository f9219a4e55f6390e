"""Models that Keras computes with another backend, as originals: their own numbers are proven."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from portproof.bundle.bundle import Bundle
from portproof.bundle.errors import ExportError
from portproof.bundle.report import Report
from portproof.runtimes.environments.python import PythonEnvironment
from portproof.sources.keras_backends import Original, from_other_backend

# Layers whose numbers depend on the backend, one that TensorFlow cannot compute, and a function.
LAYERS = """
import keras

print("loading my layers")


@keras.saving.register_keras_serializable()
class Different(keras.layers.Layer):
    def call(self, x):
        return x * (1.001 if keras.backend.backend() == "jax" else 1.0)


@keras.saving.register_keras_serializable()
class Integers(keras.layers.Layer):
    def call(self, x):
        return keras.ops.cast(x > 0, "int32") + (5 if keras.backend.backend() == "jax" else 0)


@keras.saving.register_keras_serializable()
def halved(x):
    return 0.5 * x


@keras.saving.register_keras_serializable()
class Jax(keras.layers.Layer):
    def call(self, x):
        import jax.numpy as jnp

        return jnp.tanh(x)

    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape, x.dtype)
"""
# Two inputs and two outputs by name, one of them integers; one of the inputs is looked up.
MODEL = """
import keras
import numpy as np

import portproof

keras.utils.set_random_seed(3)
image, token = keras.Input((6, 6, 2), name="image"), keras.Input((), dtype="int32", name="token")
x = keras.layers.Flatten()(keras.layers.Conv2D(4, 3, activation="gelu")(image))
x = keras.layers.concatenate([x, keras.layers.Embedding(9, 5)(token)])
kind = keras.layers.Dense(3, activation="softmax", name="kind")(x)
model = keras.Model({"image": image, "token": token}, {"kind": kind, "next": token + 1})
random = np.random.default_rng(4)
rows = {"image": random.normal(size=(20, 6, 6, 2)), "token": random.integers(0, 9, 20)}
bundle = portproof.export(
    model, "artifacts/two", inputs=rows, labels={"kind": rows["token"] % 3}, formats=FORMATS
)
[typical] = [case for case in bundle.vectors("serving_default") if case.regime == "typical"]
arrays = bundle.read(typical)
outputs = model({name: arrays[f"inputs/{name}"] for name in rows}, training=False)
for name, output in outputs.items():
    assert np.array_equal(arrays[f"reference/{name}"], output), name
"""

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def on_jax(tmp_path: Path) -> Run:
    """Runs Python where Keras computes with JAX, which is not among the packages of the tests."""
    packages = PythonEnvironment("keras-jax", packages=("keras", "jax"))
    packages.make(print)
    folder = packages.site_packages
    # Behind all others: it has the rest of what Keras needs too.
    moving = f"import sys\nsys.path.remove({str(folder)!r})\nsys.path.append({str(folder)!r})\n"
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "sitecustomize.py").write_text(moving)
    variables = {"PYTHONPATH": f"{tmp_path / 'first'}:{folder}"}

    def run(*words: str, **chosen: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *words],
            cwd=tmp_path,
            env={**os.environ, **variables, **(chosen or {"KERAS_BACKEND": "jax"})},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_a_model_of_jax_is_proven_to_give_the_numbers_of_jax(on_jax: Run, tmp_path: Path) -> None:
    formats = ["keras", "tflite", "onnx"]
    (tmp_path / "export.py").write_text(f"FORMATS = {formats}\n{MODEL}")
    done = on_jax("export.py")
    assert done.returncode == 0, done.stderr
    manifest = Bundle.open(tmp_path / "artifacts" / "two").manifest
    assert manifest.source.kind == "keras.Model on jax"
    assert manifest.packages["jax"]
    assert "conv2d" in manifest.layers
    assert {artifact.name for artifact in manifest.artifacts} == {"savedmodel", *formats}
    runtimes = ["keras", "keras-jax", "litert", "onnxruntime", "tensorflow"]
    words = [f"--runtime={name}" for name in runtimes]
    done = on_jax("-m", "portproof", "verify", "artifacts/two", *words)
    assert done.returncode == 0, done.stdout
    text = (tmp_path / "artifacts" / "two" / "report.json").read_text()
    cells = [c for c in Report.model_validate_json(text).cells if c.regime != "edge"]
    verdicts = {name: {c.verdict for c in cells if c.runtime == name} for name in runtimes}
    assert verdicts["keras-jax"] == {"exact"}
    # The integers are exact everywhere.
    assert all(found == {"exact", "faithful"} for n, found in verdicts.items() if n != "keras-jax")
    card = (tmp_path / "artifacts" / "two" / "README.md").read_text()
    assert "A keras.Model on jax with" in card


@pytest.mark.slow
def test_the_commands_take_the_backend_that_is_set(on_jax: Run, tmp_path: Path) -> None:
    inputs = keras.Input((3, 4), name="x")
    keras.Model(inputs, keras.layers.LSTM(5)(inputs)).save(tmp_path / "lstm.keras")
    (tmp_path / "keras.json").write_text('{"backend": "jax"}')
    command = ("-m", "portproof", "export", "lstm.keras", "--format", "tflite")
    done = on_jax(*command, KERAS_HOME=str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rights" not in done.stderr  # it was in the sandbox
    kind = Bundle.open(tmp_path / "artifacts" / "lstm").manifest.source.kind
    assert kind == "keras.Model on jax"
    done = on_jax("-m", "portproof", "check", "lstm.keras", "--against", "lstm.keras")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("Different", r"different: y is something else on jax than on TensorFlow.*: .* times the"),
        ("Integers", r"different: y is something else on jax than on TensorFlow.*: differs by"),
        ("Jax", r"error: Keras on TensorFlow.* says: different (cannot be traced|does not load)"),
    ],
)
def test_what_tensorflow_does_not_compute_the_same_is_not_exported(
    layer: str, message: str, on_jax: Run, tmp_path: Path
) -> None:
    (tmp_path / "own_layers.py").write_text(LAYERS)
    (tmp_path / "made.py").write_text(
        "import keras, own_layers\n"
        "x = keras.Input((3,), name='x')\n"
        f"y = own_layers.{layer}(name='y')(keras.layers.Dense(4, own_layers.halved)(x))\n"
        "different = keras.Model(x, y, name='different')\n"
    )
    done = on_jax("-m", "portproof", "export", "made:different", "--format", "tflite")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert re.search(message, done.stderr), done.stderr
    assert not (tmp_path / "artifacts" / "different").exists()


def test_a_layer_of_the_script_itself_cannot_be_loaded_elsewhere() -> None:
    members = {"__module__": "__main__", "call": lambda _, x: x}
    of_script = type("Mine", (keras.layers.Layer,), members)
    x = keras.Input((2,), name="x")
    with pytest.raises(ExportError, match=r"m has a Mine, which is defined in the script.*module"):
        from_other_backend("m", keras.Model(x, of_script()(x)))


def test_an_original_of_other_dtypes_than_its_graph_is_refused() -> None:
    x = keras.Input((2,), name="x")
    model = keras.Model(x, keras.layers.Dense(1, name="y")(x), name="m")
    original, rows = Original(model, "tensorflow"), {"x": np.ones((3, 2), np.float32)}
    outputs = original.outputs(rows, {"y": np.ones((3, 1), np.float32)})
    assert outputs["y"].dtype == np.float32
    with pytest.raises(ExportError, match=r"y is float32\[3, 1\] on tensorflow, and float64"):
        original.outputs(rows, {"y": np.ones((3, 1))})
    with pytest.raises(ExportError, match="m fails on tensorflow: "):
        original.outputs({"x": np.ones((3, 5), np.float32)}, {"y": np.ones((3, 1), np.float32)})
