"""Models, and what goes wrong on the way to a file: each damage is a model of its own.

What is damaged is the Python model, as by the script of somebody who exports it. The converters are
those of TensorFlow, of tf2onnx and of TensorFlow.js, as they are.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

Arrays = dict[str, Any]
# Inputs by name -> outputs by name, of a model.
Call = Callable[[keras.Model, dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class Case:
    """A model to be converted.

    Attributes:
        name: What was done to it; empty: nothing.
        model: The model.
        call: What is exported of it.
    """

    name: str
    model: keras.Model
    call: Call


def plain(model: keras.Model, inputs: dict[str, Any]) -> dict[str, Any]:
    return model(inputs, training=False)


def image_model() -> keras.Model:
    image = keras.Input((24, 24, 3), name="image")
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(image)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.DepthwiseConv2D(3, padding="same", activation="relu6")(x)
    x = keras.layers.Flatten()(keras.layers.AveragePooling2D(3)(x))
    outputs = {
        "kind": keras.layers.Dense(7, activation="softmax", name="kind")(x),
        "place": keras.layers.Dense(4, name="place")(x),
        "size": keras.layers.Dense(4, name="size")(x),
    }
    return keras.Model({"image": image}, outputs)


def text_model() -> keras.Model:
    words = keras.Input((12,), dtype="int32", name="words")
    x = keras.layers.Embedding(50, 16)(words)
    attended = keras.layers.MultiHeadAttention(2, 8)(x, x)
    x = keras.layers.LayerNormalization(name="norm")(x + attended)
    x = keras.layers.Dense(24, activation="tanh")(x)
    x = keras.layers.GlobalAveragePooling1D()(x)
    outputs = {
        "kind": keras.layers.Dense(5, activation="softmax", name="kind")(x),
        "place": keras.layers.Dense(3, name="place")(x),
        "size": keras.layers.Dense(3, name="size")(x),
    }
    return keras.Model({"words": words}, outputs)


def table_model() -> keras.Model:
    left, right = keras.Input((6,), name="left"), keras.Input((3,), name="right")
    x = keras.layers.Concatenate()([left, right])
    x = keras.layers.BatchNormalization(name="norm")(keras.layers.Dense(32, "relu")(x))
    x = keras.layers.Dense(16, activation="tanh")(x)
    outputs = {
        "kind": keras.layers.Dense(4, activation="softmax", name="kind")(x),
        "place": keras.layers.Dense(2, name="place")(x),
        "size": keras.layers.Dense(2, name="size")(x),
    }
    return keras.Model({"left": left, "right": right}, outputs)


def sound_model() -> keras.Model:
    sound = keras.Input((400,), name="sound")
    x = keras.layers.Reshape((400, 1))(sound)
    x = keras.layers.Conv1D(12, 16, strides=4, padding="same", activation="relu")(x)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.Conv1D(12, 8, strides=4, activation="elu")(x)
    x = keras.layers.GlobalMaxPooling1D()(x)
    outputs = {
        "kind": keras.layers.Dense(6, activation="softmax", name="kind")(x),
        "place": keras.layers.Dense(2, name="place")(x),
        "size": keras.layers.Dense(2, name="size")(x),
    }
    return keras.Model({"sound": sound}, outputs)


MODELS = {"image": image_model, "text": text_model, "table": table_model, "sound": sound_model}


def built(name: str) -> keras.Model:
    """A model of that name, with weights that say something, the same every time."""
    keras.utils.set_random_seed(11)
    model = MODELS[name]()
    rng = np.random.default_rng(5)
    for variable in model.variables:
        spread = 0.3 * rng.normal(size=variable.shape)
        positive = "variance" in variable.name or "gamma" in variable.name
        variable.assign(variable + np.abs(spread) if positive else variable + spread)
    return model


def rows(name: str) -> Arrays:
    """Some of its own data."""
    rng = np.random.default_rng(7)
    if name == "text":
        return {"words": rng.integers(0, 50, size=(40, 12)).astype(np.int32)}
    shapes: dict[str, dict[str, tuple[int, ...]]] = {
        "image": {"image": (24, 24, 3)},
        "table": {"left": (6,), "right": (3,)},
        "sound": {"sound": (400,)},
    }
    return {
        key: rng.normal(size=(40, *shape)).astype(np.float32) for key, shape in shapes[name].items()
    }


def cases(name: str) -> list[Case]:
    """The model as it is, and each damage that it can have."""
    damages: list[tuple[str, Callable[[keras.Model], Call | None]]] = [
        ("", lambda _: None),
        ("two outputs swapped", lambda _: _swapped),
        ("bias dropped", _bias_dropped),
        ("last softmax left out", _softmax_left_out),
        ("epsilon of the normalisation", _epsilon),
        ("mean of the normalisation forgotten", _no_centre),
        ("one layer's weights 0.1 % too large", _weights_scaled),
        ("one layer's weights in bfloat16", _weights_rounded),
        ("weights of an early checkpoint", _early),
        ("an activation replaced", _activation),
    ]
    if name != "text":
        damages.append(("inputs scaled otherwise", lambda _: _scaled))
    if name == "image":
        damages.append(("blue for red", lambda _: _blue_for_red))
    found = []
    for title, damage in damages:
        model = built(name)
        found.append(Case(title, model, damage(model) or plain))
    return found


def _swapped(model: keras.Model, inputs: dict[str, Any]) -> dict[str, Any]:
    outputs = plain(model, inputs)
    return {"kind": outputs["kind"], "place": outputs["size"], "size": outputs["place"]}


def _scaled(model: keras.Model, inputs: dict[str, Any]) -> dict[str, Any]:
    """What is in 0 to 1 for one who thinks of it as -1 to 1."""
    return plain(model, {name: 0.5 * tensor + 0.5 for name, tensor in inputs.items()})


def _blue_for_red(model: keras.Model, inputs: dict[str, Any]) -> dict[str, Any]:
    return plain(model, {name: tensor[..., ::-1] for name, tensor in inputs.items()})


def _bias_dropped(model: keras.Model) -> None:
    bias = model.get_layer("place").bias
    bias.assign(tf.zeros_like(bias))


def _softmax_left_out(model: keras.Model) -> None:
    model.get_layer("kind").activation = keras.activations.linear


def _epsilon(model: keras.Model) -> None:
    model.get_layer("norm").epsilon = 1e-5


def _no_centre(model: keras.Model) -> None:
    layer = model.get_layer("norm")
    variable = getattr(layer, "moving_mean", None)
    variable = layer.beta if variable is None else variable
    variable.assign(tf.zeros_like(variable))


def _weights_scaled(model: keras.Model) -> None:
    kernel = model.get_layer("kind").kernel
    kernel.assign(1.001 * kernel)


def _weights_rounded(model: keras.Model) -> None:
    kernel = model.get_layer("kind").kernel
    kernel.assign(tf.cast(tf.cast(kernel, tf.bfloat16), tf.float32))


def _early(model: keras.Model) -> None:
    rng = np.random.default_rng(3)
    for variable in model.trainable_variables:
        variable.assign(variable * (1 + 0.01 * rng.normal(size=variable.shape)))


def _activation(model: keras.Model) -> None:
    """One of the same kind: relu for relu6."""
    others = {
        "relu6": keras.activations.relu,
        "tanh": keras.activations.sigmoid,
        "elu": keras.activations.selu,
    }
    [layer] = [
        layer
        for layer in model.layers
        if getattr(getattr(layer, "activation", None), "__name__", "") in others
    ]
    layer.activation = others[layer.activation.__name__]
