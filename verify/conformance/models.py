"""A harvested configuration as a model: one layer behind its inputs."""

import math
from typing import Any

import keras
import numpy as np

from portproof.bundle.errors import ExportError, UsageError
from portproof.sources.keras_models import from_keras
from portproof.sources.source import Source
from verify.conformance.harvest import Configuration
from verify.zoo.weights import with_random_weights

ROWS = 8  # that a test's own inputs are repeated to
MAX_ELEMENTS = 50_000  # of an input's row


class NotAModelError(Exception):
    """A configuration that makes no model; its text says why."""


def source_of(configuration: Configuration) -> Source:
    """The model with random weights, and with the test's own inputs where it has any.

    Raises NotAModelError.
    """
    try:
        layer = configuration.layer(**configuration.options)
        inputs, outputs = _functional(configuration, layer)
        flat = keras.tree.flatten(outputs)
        model = keras.Model(keras.tree.flatten(inputs), flat if len(flat) > 1 else flat[0])
    except Exception as error:  # whatever a layer raises
        raise NotAModelError(
            f"{type(error).__name__}: {str(error).splitlines()[0][:150]}"
        ) from error
    sizes = [math.prod(tensor.shape[1:]) for tensor in model.inputs if None not in tensor.shape[1:]]
    if max(sizes, default=0) > MAX_ELEMENTS:
        raise NotAModelError(f"takes {max(sizes):,} numbers a row, minutes in reference kernels")
    try:
        model = with_random_weights(configuration.name, model)
        return from_keras(configuration.name, model, _examples(configuration, model))
    except (ExportError, UsageError) as error:
        raise NotAModelError(str(error).removeprefix(f"{configuration.name} ")) from error


def _functional(configuration: Configuration, layer: Any) -> tuple[Any, Any]:
    """Inputs with a dynamic batch, or with the test's own where the layer needs to know it."""
    error: Exception | None = None
    for batch in (True, False):
        inputs = _inputs(configuration, dynamic_batch=batch)
        try:
            if isinstance(inputs, dict):  # as run_layer_test does it
                by_name = {name.removesuffix("_shape"): value for name, value in inputs.items()}
                return inputs, layer(**by_name, **configuration.call)
            return inputs, layer(inputs, **configuration.call)
        except Exception as refused:
            error = error or refused
    assert error
    raise error


def _inputs(configuration: Configuration, *, dynamic_batch: bool) -> Any:
    made_inputs: list[Any] = []

    def made(shape: Any, dtype: Any) -> Any:
        batch, *rest = shape
        name = f"input_{len(made_inputs)}"
        shape = (None if dynamic_batch else batch, *rest)
        made_inputs.append(keras.Input(batch_shape=shape, dtype=dtype, name=name))
        return made_inputs[-1]

    if configuration.data is not None:
        return keras.tree.map_structure(
            lambda a: made(np.shape(a), np.asarray(a).dtype.name), configuration.data
        )
    if configuration.dtypes is None or isinstance(configuration.dtypes, str):
        dtype = configuration.dtypes or "float32"
        return keras.tree.map_shape_structure(lambda s: made(s, dtype), configuration.shapes)
    shapes: list[Any] = []
    keras.tree.map_shape_structure(shapes.append, configuration.shapes)
    dtypes = keras.tree.flatten(configuration.dtypes)
    flat = [made(shape, dtype) for shape, dtype in zip(shapes, dtypes, strict=True)]
    return keras.tree.pack_sequence_as(configuration.dtypes, flat)


def _examples(configuration: Configuration, model: keras.Model) -> Any:
    if configuration.data is None:
        return None
    arrays = [np.asarray(array) for array in keras.tree.flatten(configuration.data)]
    if model.inputs[0].shape[0] is None:
        arrays = [np.resize(array, (ROWS, *array.shape[1:])) for array in arrays]
    names = [tensor.name for tensor in model.inputs]
    return dict(zip(names, arrays, strict=True))
