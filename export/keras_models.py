"""A `keras.Model` becomes a Source."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from bundle.errors import ExportError
from bundle.manifest import Structure
from bundle.structure import flatten, layer_names, mapped
from export.examples import completed
from export.source import Source

SIGNATURE = "serving_default"


def from_keras(
    name: str,
    model: keras.Model,
    examples: Any = None,
    draw_plots: Callable[[Path], None] | None = None,
) -> Source:
    """A Source of a `keras.Model`, as `serving_default`, in inference mode.

    Inputs are named as the model's Input layers, outputs as its output dict's keys or else as the
    layers that make them. Raises ExportError where the model has no inputs yet, or a layer that
    only this Python program can compute.
    """
    _refuse_lambdas(name, model)
    if not getattr(model, "inputs", None):
        raise ExportError(
            f"{name} has no inputs: a subclassed or unbuilt keras.Model says nothing of them. "
            "Build it from keras.Input, or wrap it in a tf.Module with a declared tf.function."
        )
    for tensor in model.inputs:
        if getattr(tensor, "sparse", False) or getattr(tensor, "ragged", False):
            raise ExportError(
                f"{name}: input {tensor.name} is sparse or ragged, which a bundle cannot carry. "
                "Take a dense tensor, and make it sparse inside the model."
            )
    specs = {
        input_name(tensor): tf.TensorSpec(tensor.shape, tensor.dtype, name=input_name(tensor))
        for tensor in model.inputs
    }

    def serve(**inputs: Any) -> dict[str, Any]:
        return keras_outputs(model, model(keras_feed(model, inputs), training=False))

    function = tf.function(serve, autograph=False)
    function.get_concrete_function(**specs)
    functions = {SIGNATURE: function}
    found, drawn = completed(functions, examples)
    structure = _structure(model)
    return Source(
        name,
        model,
        functions,
        found,
        {SIGNATURE: model},
        draw_plots,
        structures={SIGNATURE: structure} if structure else {},
        drawn=drawn,
    )


def input_name(tensor: Any) -> str:
    """What an input is called: as its layer, which a file keeps; a tensor's own name it does not.

    Keras Applications make their own Input, whose tensor is `keras_tensor_7`.
    """
    return str(tensor._keras_history.operation.name)


def keras_feed(model: keras.Model, inputs: Mapping[str, Any]) -> Any:
    """Inputs by name in the structure that a call of `model` takes."""
    ordered = [inputs[input_name(tensor)] for tensor in model.inputs]
    return keras.tree.pack_sequence_as(_inputs(model), ordered)


def _inputs(model: keras.Model) -> Any:
    """The model's inputs as they were given to it; a Sequential has one."""
    return getattr(model, "_inputs_struct", model.inputs[0])  # which has no public name


def keras_structure(model: keras.Model) -> Any:
    """What a call of `model` returns, as specs in its own structure; nothing is computed."""
    return model.compute_output_spec(_inputs(model))


def keras_outputs(model: keras.Model, outputs: Any) -> dict[str, Any]:
    """What a call of `model` returned, by name."""
    if isinstance(outputs, Mapping):
        try:
            return flatten(outputs)
        except ValueError as error:
            raise ExportError(f"{model.name}: {error}. Rename one of its outputs.") from None
    names = layer_names([t._keras_history.operation.name for t in model.outputs])
    return dict(zip(names, keras.tree.flatten(outputs), strict=True))


def _structure(model: keras.Model) -> Structure | None:
    """Where inputs and outputs were, if they were nested."""
    given, made = _inputs(model), keras_structure(model)
    if _is_flat(given) and _is_flat(made):
        return None
    names = {id(leaf): name for name, leaf in keras_outputs(model, made).items()}
    return Structure(
        inputs=mapped(input_name, given),
        outputs=mapped(lambda leaf: names[id(leaf)], made),
    )


def _is_flat(structure: Any) -> bool:
    """Whether it is a tensor, or a dict of tensors: what a signature itself is."""
    parts = structure.values() if isinstance(structure, Mapping) else [structure]
    return not any(isinstance(part, Mapping | list | tuple) for part in parts)


def _refuse_lambdas(name: str, model: keras.Model) -> None:
    found = [layer.name for layer in layers_of(model) if isinstance(layer, keras.layers.Lambda)]
    if found:
        raise ExportError(lambda_message(name, found))


def lambda_message(name: str, layers: list[str]) -> str:
    """What a person with Lambda layers is told."""
    return (
        f"{name} has Lambda layers ({', '.join(layers)}): they hold Python code of one program, "
        "which no file carries safely. Write each with stock operations, which are layers too: "
        "instead of Lambda(lambda x: x * 2 + tf.abs(x)) call x * 2 + keras.ops.abs(x) on the "
        "Keras tensors when building the model."
    )


def layers_of(model: Any) -> list[Any]:
    """A Keras model's layers, those inside other layers too."""
    flat = getattr(model, "_flatten_layers", None)
    return list(flat(include_self=False)) if flat else []


def foreign(config: Any) -> Iterator[str]:
    """The classes and functions in a serialized Keras object that Keras itself does not have."""
    if isinstance(config, dict):
        registered, module = config.get("registered_name"), config.get("module") or ""
        if registered and not module.startswith("keras"):
            inner = config.get("config")
            named = inner.get("name") if isinstance(inner, dict) else None
            yield f"{config.get('class_name')} {named}" if named else str(registered)
        for value in config.values():
            yield from foreign(value)
    elif isinstance(config, list | tuple):
        for value in config:
            yield from foreign(value)
