"""`quadratic_keras`: the same curve as a Keras `Sequential`, trained with `fit`."""

from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from export.keras_models import from_keras
from export.models import data, plots
from export.models.state import EPOCHS, Log, State, restore
from export.source import Source

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
        name="quadratic_keras",
    )


def _as_columns(x: Any, y: Any) -> tuple[Any, Any]:
    return x[:, None], y[:, None]


class _Record(keras.callbacks.Callback):  # type: ignore[misc]
    """Notes the loss that `fit` reports for each epoch: its mean over the batches."""

    def __init__(self, state: State, log: Log) -> None:
        super().__init__()
        self._state, self._log = state, log

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        assert logs is not None
        self._state.record(epoch, logs["loss"], self._log)


def train(
    folder: Path, seed: int = 22, epochs: int = EPOCHS, resume: bool = False, log: Log = print
) -> None:
    """Train with `fit` and leave the state in `folder`; with `resume`, go on from what is there."""
    points = data.make(seed)
    x = points.x[:, None]
    model = build(seed)
    model.compile(optimizer=keras.optimizers.SGD(LEARNING_RATE), loss="mse")
    before = np.asarray(model(x))
    state = State(folder, seed, epochs, resume, model=model)
    first = int(state.epoch)
    if first < epochs:
        model.fit(
            data.batches(points, seed, first, epochs).map(_as_columns),
            initial_epoch=first,
            epochs=epochs,
            steps_per_epoch=data.STEPS,
            callbacks=[_Record(state, log)],
            shuffle=False,
            verbose=0,
        )
    after = np.asarray(model(x))
    state.finish({**vars(points), "before": before[:, 0], "after": after[:, 0]})


def source(folder: Path) -> Source:
    """The trained model, with its training inputs."""
    model = build()
    history = restore(folder, model)
    examples = {"serving_default": {"x": history["x"][:, None]}}
    return from_keras("quadratic_keras", model, examples, partial(plots.draw, history))
