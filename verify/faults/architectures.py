"""Small models of every common kind, with weights and data that make a fault visible.

Weights and biases are random, and large enough that every activation function has an effect: some
values exceed 6, where relu6 cuts them off, and every output varies over the samples. Each model
converts to every format that supports its operations.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from portproof.sources.keras_models import from_keras
from portproof.sources.modules import from_module
from portproof.sources.source import Source

ROWS = 24


def _dense() -> keras.Model:
    x = keras.Input((6,), name="x")
    hidden = layers.Dense(6, "relu", name="first")(x)
    hidden = layers.Dense(6, "relu", name="second")(hidden)
    return keras.Model(x, {"y": layers.Dense(3, name="y")(hidden)})


def _conv() -> keras.Model:
    x = keras.Input((8, 8, 3), name="x")
    hidden = layers.Conv2D(4, 3, padding="same", activation="relu", name="first")(x)
    hidden = layers.Conv2D(4, 3, padding="same", activation="relu", name="second")(hidden)
    hidden = layers.GlobalAveragePooling2D(name="mean")(hidden)
    return keras.Model(x, {"y": layers.Dense(3, name="y")(hidden)})


def _depthwise() -> keras.Model:
    x = keras.Input((9, 9, 4), name="x")
    hidden = layers.DepthwiseConv2D(3, strides=2, padding="same", name="depthwise")(x)
    hidden = layers.Conv2D(5, 1, strides=2, activation="relu6", name="point")(hidden)
    return keras.Model(x, {"y": layers.Flatten(name="y")(hidden)})


def _batch_norm() -> keras.Model:
    x = keras.Input((6, 6, 3), name="x")
    hidden = layers.Conv2D(4, 3, use_bias=False, name="conv")(x)
    hidden = layers.BatchNormalization(epsilon=1e-2, name="norm")(hidden)
    hidden = layers.ReLU(name="relu")(hidden)
    return keras.Model(x, {"y": layers.GlobalMaxPooling2D(name="y")(hidden)})


def _layer_norm() -> keras.Model:
    x = keras.Input((8,), name="x")
    hidden = layers.Dense(8, name="first")(x)
    hidden = layers.LayerNormalization(epsilon=1e-2, name="norm")(hidden)
    return keras.Model(x, {"y": layers.Dense(2, "tanh", name="y")(hidden)})


def _attention() -> keras.Model:
    x = keras.Input((5, 8), name="x")
    mixed = layers.MultiHeadAttention(2, 4, name="attention")(x, x)
    hidden = layers.Add(name="add")([x, mixed])
    return keras.Model(x, {"y": layers.LayerNormalization(epsilon=1e-3, name="y")(hidden)})


def _embedding() -> keras.Model:
    x = keras.Input((5,), dtype="int32", name="x")
    rows = layers.Embedding(11, 6, name="table")(x)
    hidden = layers.GlobalAveragePooling1D(name="mean")(rows)
    return keras.Model(x, {"y": layers.Dense(3, name="y")(hidden)})


def _pooling() -> keras.Model:
    x = keras.Input((8, 8, 2), name="x")
    hidden = layers.MaxPooling2D(2, name="max")(x)
    hidden = layers.Conv2D(4, 2, activation="relu", name="conv")(hidden)
    return keras.Model(x, {"y": layers.AveragePooling2D(3, 1, padding="same", name="y")(hidden)})


def _softmax() -> keras.Model:
    x = keras.Input((6,), name="x")
    hidden = layers.Dense(8, "sigmoid", name="first")(x)
    return keras.Model(x, {"y": layers.Dense(5, "softmax", name="y")(hidden)})


def _gru() -> keras.Model:
    x = keras.Input((4, 3), name="x")
    hidden = layers.GRU(4, unroll=True, name="gru")(x)
    return keras.Model(x, {"y": layers.Dense(2, name="y")(hidden)})


def _lstm() -> keras.Model:
    x = keras.Input((4, 3), name="x")
    hidden = layers.LSTM(4, unroll=True, name="lstm")(x)
    return keras.Model(x, {"y": layers.Dense(2, name="y")(hidden)})


def _gelu() -> keras.Model:
    x = keras.Input((6,), name="x")
    hidden = keras.ops.gelu(layers.Dense(8, name="first")(x), approximate=False)
    return keras.Model(x, {"y": layers.Dense(3, name="y")(hidden)})


def _several() -> keras.Model:
    """Two inputs, and two outputs of one shape."""
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    left = layers.Dense(5, "relu", name="left")(a)
    right = layers.Dense(5, "elu", name="right")(b)
    both = layers.Concatenate(name="both")([left, right])
    return keras.Model(
        {"a": a, "b": b},
        {"p": layers.Dense(2, name="p")(both), "q": layers.Dense(2, "softplus", name="q")(both)},
    )


def _dilated() -> keras.Model:
    x = keras.Input((10, 2), name="x")
    hidden = layers.Conv1D(4, 3, dilation_rate=2, padding="same", activation="relu", name="conv")(x)
    return keras.Model(x, {"y": layers.GlobalAveragePooling1D(name="y")(hidden)})


class Integers(tf.Module):  # type: ignore[misc]
    """int32 arithmetic that overflows and wraps around on the example data."""

    def __init__(self) -> None:
        super().__init__(name="integers")
        self.factor = tf.Variable([7, -1000003, 65537], name="factor")
        self.offset = tf.Variable([1, 2**31 - 1, -5], name="offset")

    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.int32, name="x")])  # type: ignore[untyped-decorator]
    def serving_default(self, x: Any) -> dict[str, Any]:
        return {"y": x * self.factor + self.offset}


KERAS_BUILDERS: dict[str, Callable[[], keras.Model]] = {
    "dense": _dense,
    "conv": _conv,
    "depthwise": _depthwise,
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
    "attention": _attention,
    "embedding": _embedding,
    "pooling": _pooling,
    "softmax": _softmax,
    "gru": _gru,
    "lstm": _lstm,
    "gelu": _gelu,
    "several": _several,
    "dilated": _dilated,
}


def build_model(name: str) -> keras.Model:
    """A Keras architecture with random weights, which are the same at every call."""
    model = KERAS_BUILDERS[name]()
    random = np.random.default_rng(22)
    model.set_weights([_random_values(variable, random) for variable in model.weights])
    return model


def _random_values(variable: Any, random: np.random.Generator) -> np.ndarray:
    """Random values: positive variances, scales near 1, kernels that keep their input's size."""
    shape = tuple(variable.shape)
    if "variance" in variable.name:
        return random.uniform(0.01, 2, shape).astype(np.float32)
    if "gamma" in variable.name:
        return random.uniform(0.5, 1.5, shape).astype(np.float32)
    fan_in = int(np.prod(shape[:-1])) if len(shape) > 1 else 1
    scale = 1.5 / np.sqrt(max(fan_in, 1)) if len(shape) > 1 else 0.7
    return random.normal(0, scale, shape).astype(np.float32)


def examples(model: keras.Model) -> dict[str, np.ndarray]:
    """Data for each input: ids below 11 for int32, else normally distributed with deviation 3."""
    random = np.random.default_rng(7)
    arrays = {}
    for tensor in keras.tree.flatten(model.inputs):
        shape = (ROWS, *tensor.shape[1:])
        if tensor.dtype == "int32":
            arrays[tensor.name] = random.integers(0, 11, shape).astype(np.int32)
        else:
            arrays[tensor.name] = random.normal(0, 3, shape).astype(np.float32)
    return arrays


def keras_source(name: str, model: keras.Model) -> Source:
    return from_keras(name, model, {"serving_default": examples(model)})


def integers_source() -> Source:
    module = Integers()
    x = np.random.default_rng(7).integers(-(2**20), 2**20, (ROWS, 3)).astype(np.int32)
    return from_module("integers", module, {"serving_default": {"x": x}})
