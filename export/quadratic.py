"""`quadratic`: y = w_q x^2 + w_l x + b as a `tf.Module`, trained from scratch."""

from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import portproof
from export import data, plots
from export.training import Log, Training, trained

NAME = "quadratic"
LEARNING_RATE = 0.01


class Quadratic(tf.Module):  # type: ignore[misc]
    """Variables `w_q`, `w_l` and `b`: float32 scalars, uniform in [0, 5) by `seed`."""

    def __init__(self, seed: int = 22) -> None:
        super().__init__(name=NAME)
        start = tf.unstack(tf.random.Generator.from_seed(seed).uniform([3], 0, 5))
        self.w_q = tf.Variable(start[0], name="w_q")
        self.w_l = tf.Variable(start[1], name="w_l")
        self.b = tf.Variable(start[2], name="b")

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])  # type: ignore[untyped-decorator]
    def __call__(self, x: Any) -> Any:
        """float32 [n] -> float32 [n]."""
        return self.w_q * tf.square(x) + self.w_l * x + self.b


def mean_squared_error(y: Any, predicted: Any) -> Any:
    return tf.reduce_mean(tf.square(predicted - y))


@tf.function  # type: ignore[untyped-decorator]
def _train_epoch(model: Quadratic, batches: Any, x: Any, y: Any) -> Any:
    """One epoch from an iterator, as one graph; returns the loss over all points after it."""
    for _ in tf.range(data.STEPS):
        x_batch, y_batch = next(batches)
        with tf.GradientTape() as tape:
            loss = mean_squared_error(y_batch, model(x_batch))
        variables = (model.w_q, model.w_l, model.b)
        for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
            variable.assign_sub(LEARNING_RATE * gradient)
    return mean_squared_error(y, model(x))


def train(folder: Path, seed: int, epochs: int, resume: bool, log: Log) -> None:
    """Train and leave the training in `folder`; with `resume`, continue the one that is there."""
    points = data.make(seed)
    model = Quadratic(seed)
    before = np.asarray(model(points.x))
    training = Training(folder, seed, epochs, resume, model=model)
    x, y = tf.constant(points.x), tf.constant(points.y)
    first = int(training.epoch)
    batches = iter(data.batches(points, seed, first, epochs))
    for epoch in range(first, epochs):
        loss = _train_epoch(model, batches, x, y)
        training.record(epoch, float(loss), log)
    after = np.asarray(model(points.x))
    training.finish({**vars(points), "before": before, "after": after})


def source(folder: Path = Path("training", NAME)) -> portproof.Source:
    """The trained model, with its training inputs and its Keras form."""
    model = Quadratic()
    history = trained(folder, model)
    serve = tf.function(
        lambda x: {"y": model(x)}, input_signature=[tf.TensorSpec([None], tf.float32, name="x")]
    )
    return portproof.make_source(
        model,
        signatures={"serving_default": serve},
        inputs={"x": history["x"]},
        keras_forms={"serving_default": keras_form(model)},
        draw_plots=partial(plots.draw, history),
    )


def keras_form(model: Quadratic) -> keras.Model:
    """The same weights in stock layers: [x^2, x] through a Dense(1) with kernel [w_q, w_l]."""
    x = keras.Input((), name="x")
    column = keras.layers.Reshape((1,), name="column")(x)
    square = keras.layers.Multiply(name="square")([column, column])
    features = keras.layers.Concatenate(name="features")([square, column])
    dense = keras.layers.Dense(1, name="dense")
    y = keras.layers.Reshape((), name="y")(dense(features))
    form = keras.Model(x, {"y": y}, name=NAME)
    w_q, w_l, b = (variable.numpy() for variable in (model.w_q, model.w_l, model.b))
    dense.set_weights([np.array([[w_q], [w_l]]), np.array([b])])
    return form
