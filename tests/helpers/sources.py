"""Small models to export, right ones and faulty ones."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from portproof.bundle.bundle import Bundle
from portproof.exporting import export_source
from portproof.formats.table import select
from portproof.sources.source import Source

# The formats that claim to be float32: variants declare budgets of error.
FLOAT32 = ("savedmodel", "checkpoint", "keras", "tflite", "tfjs-graph", "tfjs-layers")
X = np.linspace(-2, 2, 33, dtype=np.float32)


def exported(source: Source, path: Path) -> Bundle:
    """The source as a bundle of the formats that claim to be float32."""
    return export_source(source, path, formats=select(FLOAT32))


class Heads(tf.Module):
    """Two outputs of one input: `y` = w x + b and `z` = y^2."""

    def __init__(self) -> None:
        super().__init__()
        self.w = tf.Variable(1.5)
        self.b = tf.Variable(-0.25)


def heads(fault: str = "") -> Source:
    """The right model, or one with a fault as of a broken converter."""
    model = Heads()
    if fault == "exponent bit":
        model.w.assign(1.5 * 2)
    if fault == "nan":
        model.b.assign(np.nan)

    def serve(x: Any) -> dict[str, Any]:
        y = model.w * x + model.b
        return _faulty(fault, {"y": y, "z": tf.square(y)}, tf.cast)

    spec = tf.TensorSpec([None], tf.float32, name="x")
    return Source(
        "heads",
        model,
        {"serving_default": tf.function(serve, input_signature=[spec], autograph=False)},
        {"serving_default": {"x": X}},
        {"serving_default": _keras_form(model, fault)},
    )


def _keras_form(model: Heads, fault: str) -> keras.Model:
    x = keras.Input((), name="x")
    dense = keras.layers.Dense(1, name="dense")
    y = keras.layers.Reshape((), name="y")(dense(keras.layers.Reshape((1,), name="column")(x)))
    outputs = {"y": y, "z": keras.layers.Multiply(name="z")([y, y])}
    form = keras.Model(x, _faulty(fault, outputs, keras.ops.cast), name="heads")
    dense.set_weights([np.array([[model.w.numpy()]]), np.array([model.b.numpy()])])
    return form


def _faulty(fault: str, outputs: dict[str, Any], cast: Any) -> dict[str, Any]:
    if fault == "dropped":
        del outputs["z"]
    if fault == "renamed":
        outputs["zz"] = outputs.pop("z")
    if fault == "dtype":
        outputs["z"] = cast(outputs["z"], "int32")
    if fault == "swapped":
        outputs["y"], outputs["z"] = outputs["z"], outputs["y"]
    return outputs
