"""What a caller of `portproof.export` gives becomes a Source."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bundle.errors import UsageError
from export import models
from export.models.state import State
from export.source import Source, from_keras, from_module


def resolve(
    model: Any,
    signatures: Mapping[str, Any] | None,
    inputs: Mapping[str, Any] | None,
    training: Path,
    log: Callable[[str], None],
) -> Source:
    """A Source of a built-in model's name, a `tf.Module`, a `keras.Model`, or a Source itself."""
    if isinstance(model, Source):
        return model
    if isinstance(model, str):
        return _built_in(model, training / model, log)
    if not isinstance(model, tf.Module | keras.Model):
        raise UsageError(
            f"cannot export a {type(model).__name__}: give a tf.Module, a keras.Model, a Source "
            f"or the name of a built-in model ({', '.join(models.MODELS)})."
        )
    if not inputs:
        raise UsageError("give example inputs: portproof.export(model, inputs={'x': array}).")
    if isinstance(model, keras.Model):
        return from_keras(model.name, model, {"serving_default": _arrays(inputs)})
    return from_module(model.name, model, inputs, signatures)


def _built_in(name: str, folder: Path, log: Callable[[str], None]) -> Source:
    module = models.load(name)
    if not State.is_finished(folder):
        log(f"{name} is not trained yet: training it")
        module.train(folder, log=log)
    source: Source = module.source(folder)
    return source


def _arrays(inputs: Mapping[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
    return {name: np.asarray(array) for name, array in inputs.items()}
