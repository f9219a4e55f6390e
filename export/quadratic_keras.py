"""`quadratic_keras`: the same curve as a Keras `Sequential`, trained with `fit`."""

from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

import portproof
from export import data, plots
from export.training import Log, Training, trained

NAME = "quadratic_keras"
LEARNING_RATE = 0.01


def build(seed: int = 22) -> keras.Model:
    """float32 [n, 1] -> float32 [n, 1]: a layer that stacks [x, x^2], and a Dense(1).

    Tutorials stack with a `Lambda` layer. That saves Python bytecode, which safe mode refuses to
    load; a small functional model of stock layers does the same and loads anywhere.
    """
    x = keras.Input((1,), name="x")
    square = keras.layers.Multiply(name="square")([x, x])
    stacked = keras.layers.Concatenate(name="stacked")([x, square])
    start = keras.initializers.RandomNormal(stddev=1.0, seed=seed)
    return keras.Sequential(
        [
            keras.Input((1,), name="x"),
            keras.Model(x, stacked, name="stack"),
            keras.layers.Dense(1, kernel_initializer=start, name="y"),
        ],
        name=NAME,
    )


def _as_columns(x: Any, y: Any) -> tuple[Any, Any]:
    return x[:, None], y[:, None]


class _Record(keras.callbacks.Callback):  # type: ignore[misc]
    """Notes the loss that `fit` reports for each epoch: its mean over the batches."""

    def __init__(self, training: Training, log: Log) -> None:
        super().__init__()
        self._training, self._log = training, log

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        assert logs is not None
        self._training.record(epoch, logs["loss"], self._log)


def train(folder: Path, seed: int, epochs: int, resume: bool, log: Log) -> None:
    """Train with `fit` and leave it in `folder`; with `resume`, continue what is there."""
    points = data.make(seed)
    x = points.x[:, None]
    model = build(seed)
    model.compile(optimizer=keras.optimizers.SGD(LEARNING_RATE), loss="mse")
    before = np.asarray(model(x))
    training = Training(folder, seed, epochs, resume, model=model)
    first = int(training.epoch)
    if first < epochs:
        model.fit(
            data.batches(points, seed, first, epochs).map(_as_columns),
            initial_epoch=first,
            epochs=epochs,
            steps_per_epoch=data.STEPS,
            callbacks=[_Record(training, log)],
            shuffle=False,
            verbose=0,
        )
    after = np.asarray(model(x))
    training.finish({**vars(points), "before": before[:, 0], "after": after[:, 0]})


def source(folder: Path = Path("training", NAME)) -> portproof.Source:
    """The trained model, with its training inputs."""
    model = build()
    history = trained(folder, model)
    inputs = {"x": history["x"][:, None]}
    return portproof.make_source(model, inputs=inputs, draw_plots=partial(plots.draw, history))
