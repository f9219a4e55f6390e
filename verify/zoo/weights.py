"""Gives models random weights that make their outputs vary, and measures how much they vary."""

import zlib
from typing import Any

import keras
import numpy as np

from portproof.sources.functions import call
from portproof.sources.keras_models import SIGNATURE, from_keras
from portproof.sources.source import Source

# How much an output must vary over the samples, relative to its largest value.
MINIMUM_SPREAD = 1e-3


def with_random_weights(name: str, model: keras.Model) -> keras.Model:
    """The model, after its weights were set to random values that depend only on `name`.

    Weights that start as zeros or ones get random values too. Batch normalisations get the
    statistics of data, layer by layer, so that a deep network's outputs do not all become equal.
    """
    random = np.random.default_rng(zlib.crc32(name.encode()))
    for layer in _leaves(model):
        for variable in layer.variables:
            if not _is_weight(variable):
                continue
            variable.assign(_random_values(layer, variable, random))
    for variable in model.variables:  # what quantised layers keep, which begins as zeros
        if str(variable.dtype) == "int8":
            variable.assign(random.integers(-127, 128, tuple(variable.shape)))
    batch_norms = [layer for layer in _leaves(model) if _is_batch_norm(layer)]
    if batch_norms:
        _set_statistics(model, batch_norms)
    return model


def _is_batch_norm(layer: Any) -> bool:
    return isinstance(layer, keras.layers.BatchNormalization)


def _leaves(model: Any) -> list[Any]:
    """The layers that contain no other layers."""
    layers = model._flatten_layers(include_self=False)
    return [layer for layer in layers if not list(layer._layers)]


def _is_weight(variable: Any) -> bool:
    return "seed_generator" not in variable.path and "float" in str(variable.dtype)


def _random_values(layer: Any, variable: Any, random: np.random.Generator) -> Any:
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
    fan_in = int(np.prod(shape[:-1]))
    if "depthwise" in name:
        fan_in = int(np.prod(shape[:2]))
    return noise * np.sqrt(2 / fan_in)


def _example_inputs(model: keras.Model) -> dict[str, Any]:
    source = from_keras("examples", model)
    return dict(source.examples[SIGNATURE])


def _set_statistics(model: keras.Model, batch_norms: list[Any]) -> None:
    """Set each moving average to the statistics of the data at that layer."""
    momenta = [layer.momentum for layer in batch_norms]
    for layer in batch_norms:
        layer.momentum = 0.0
    inputs = _example_inputs(model)
    model(inputs if len(inputs) > 1 else next(iter(inputs.values())), training=True)
    for layer, momentum in zip(batch_norms, momenta, strict=True):
        layer.momentum = momentum


def source(name: str, model: keras.Model) -> Source:
    """The model as a Source, with the example inputs that Portproof generates for any model."""
    return from_keras(name, model, {SIGNATURE: _example_inputs(model)})


def output_spread(source: Source) -> dict[str, float]:
    """How much each output varies over the samples, relative to its largest value."""
    [(signature, function)] = source.functions.items()
    outputs = call(function, source.examples[signature])
    return {name: _relative_spread(array.astype(np.float64)) for name, array in outputs.items()}


def _relative_spread(array: np.ndarray[Any, Any]) -> float:
    largest = np.abs(array).max()
    return float(array.std(axis=0).max() / largest) if largest else 0.0
