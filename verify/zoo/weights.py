"""Random weights under which a model's outputs vary, and what is held of that."""

import zlib
from typing import Any

import keras
import numpy as np

from portproof.sources.functions import call
from portproof.sources.keras_models import SIGNATURE, from_keras
from portproof.sources.source import Source

# How far outputs must spread over the samples, beside their own size.
SPREAD = 1e-3


def alive(name: str, model: keras.Model) -> keras.Model:
    """The model with weights drawn for its name: what starts as zeros or ones is no more.

    Batch normalisations get the statistics of data, layer by layer, and the last dense layer is
    scaled to the spread of what it takes, so that a deep network's outputs are not all alike.
    """
    random = np.random.default_rng(zlib.crc32(name.encode()))
    for layer in _leaves(model):
        for variable in layer.variables:
            if not _is_weight(variable):
                continue
            variable.assign(_drawn(layer, variable, random))
    norms = [layer for layer in _leaves(model) if _is_batch_norm(layer)]
    if norms:
        _use_statistics(model, norms)
    return model


def _is_batch_norm(layer: Any) -> bool:
    return isinstance(layer, keras.layers.BatchNormalization)


def _leaves(model: Any) -> list[Any]:
    found = model._flatten_layers(include_self=False)
    return [layer for layer in found if not list(layer._layers)]


def _is_weight(variable: Any) -> bool:
    return "seed_generator" not in variable.path and "float" in str(variable.dtype)


def _drawn(layer: Any, variable: Any, random: np.random.Generator) -> Any:
    shape, name = tuple(variable.shape), variable.name
    noise = random.standard_normal(shape)
    if isinstance(layer, keras.layers.Normalization):
        return variable.numpy()
    if name == "gamma" or name == "scale":
        return 1 + 0.2 * noise
    if "variance" in name:
        return 0.5 + random.random(shape)
    if len(shape) < 2:
        return 0.1 * noise
    if "embedding" in name:
        return noise
    receptive = int(np.prod(shape[:-1]))
    if "depthwise" in name:
        receptive = int(np.prod(shape[:2]))
    return noise * np.sqrt(2 / receptive)


def _data(model: keras.Model) -> dict[str, Any]:
    source = from_keras("drawn", model)
    return dict(source.examples[SIGNATURE])


def _use_statistics(model: keras.Model, norms: list[Any]) -> None:
    """Each moving average becomes what the data shows there."""
    kept = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0
    data = _data(model)
    model(data if len(data) > 1 else next(iter(data.values())), training=True)
    for layer, momentum in zip(norms, kept, strict=True):
        layer.momentum = momentum


def source(name: str, model: keras.Model) -> Source:
    """The model as a Source, on inputs that are drawn as they are for any model."""
    return from_keras(name, model, {SIGNATURE: _data(model)})


def spread(of: Source) -> dict[str, float]:
    """By output, how far its elements vary over the samples, in units of the largest value."""
    outputs = call(of.functions[SIGNATURE], of.examples[SIGNATURE])
    return {name: _spread(array.astype(np.float64)) for name, array in outputs.items()}


def _spread(array: np.ndarray[Any, Any]) -> float:
    largest = np.abs(array).max()
    return float(array.std(axis=0).max() / largest) if largest else 0.0
