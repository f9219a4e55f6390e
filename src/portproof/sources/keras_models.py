"""A `keras.Model` becomes a Source."""

from collections.abc import Iterator, Mapping
from typing import Any

import keras
import tensorflow as tf

from portproof.bundle.errors import ExportError, described
from portproof.bundle.manifest import Structure
from portproof.bundle.structure import flatten, map_leaves, output_names
from portproof.sources.examples import complete_examples
from portproof.sources.source import Source

SIGNATURE = "serving_default"


def from_keras(name: str, model: keras.Model, examples: Any = None) -> Source:
    """A Source of a `keras.Model`, as `serving_default`, in inference mode.

    Inputs are named after the model's Input layers, outputs after its output dict's keys or else
    after the layers that make them. Raises ExportError where the model has no inputs yet, or a
    layer that only this Python program can compute.
    """
    check_model(name, model)
    return serving_source(name, model, serving_function(name, model), examples)


def serving_function(name: str, model: keras.Model) -> Any:
    """A model in inference mode as a flat `tf.function` with one graph. Raises ExportError."""
    specs = {
        input_name(tensor): tf.TensorSpec(tensor.shape, tensor.dtype, name=input_name(tensor))
        for tensor in model.inputs
    }

    def serve(**inputs: Any) -> dict[str, Any]:
        return keras_outputs(model, model(keras_inputs(model, inputs), training=False))

    function = tf.function(serve, autograph=False)
    try:
        function.get_concrete_function(**specs)
    except Exception as error:  # whatever a layer raises
        raise ExportError(
            f"{name} cannot be traced with inputs of {_shapes(specs)}: {described(error, 300)}. "
            "Where a layer needs a size as a number, give keras.Input that size."
        ) from error
    return function


def serving_source(name: str, model: keras.Model, function: Any, examples: Any) -> Source:
    """A Source of a model whose one signature is a function, with examples for it."""
    functions = {SIGNATURE: function}
    inputs, generated = complete_examples(functions, examples)
    structure = _structure(model)
    return Source(
        name,
        model,
        functions,
        inputs,
        {SIGNATURE: model},
        structures={SIGNATURE: structure} if structure else {},
        generated_inputs=generated,
    )


def check_model(name: str, model: keras.Model) -> None:
    """Raise ExportError where no graph can be made of a model, whatever Keras computes with."""
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


def _shapes(specs: Mapping[str, tf.TensorSpec]) -> str:
    """`tokens [None, 24], mask [None, 24]`."""
    return ", ".join(f"{name} {spec.shape.as_list()}" for name, spec in specs.items())


def input_name(tensor: Any) -> str:
    """The name of an input: that of its layer. A file keeps it, and not the tensor's own name.

    Keras Applications make their own Input, whose tensor is `keras_tensor_7`.
    """
    return str(tensor._keras_history.operation.name)


def keras_inputs(model: keras.Model, inputs: Mapping[str, Any]) -> Any:
    """Inputs by name -> the structure that a call of `model` takes."""
    ordered = [inputs[input_name(tensor)] for tensor in model.inputs]
    return keras.tree.pack_sequence_as(_inputs(model), ordered)


def _inputs(model: keras.Model) -> Any:
    """The model's symbolic inputs in their own structure; a Sequential has one."""
    return getattr(model, "_inputs_struct", model.inputs[0])  # which has no public name


def keras_output_structure(model: keras.Model) -> Any:
    """The outputs of `model` as specs in their own structure; nothing is computed."""
    return model.compute_output_spec(_inputs(model))


def keras_outputs(model: keras.Model, outputs: Any) -> dict[str, Any]:
    """The outputs of a call of `model`, by name."""
    if isinstance(outputs, Mapping):
        try:
            return flatten(outputs)
        except ValueError as error:
            raise ExportError(f"{model.name}: {error}. Rename one of its outputs.") from None
    names = output_names([t._keras_history.operation.name for t in model.outputs])
    return dict(zip(names, keras.tree.flatten(outputs), strict=True))


def _structure(model: keras.Model) -> Structure | None:
    """How inputs and outputs are nested, if they are."""
    inputs, outputs = _inputs(model), keras_output_structure(model)
    if _is_flat(inputs) and _is_flat(outputs):
        return None
    names = {id(leaf): name for name, leaf in keras_outputs(model, outputs).items()}
    return Structure(
        inputs=map_leaves(input_name, inputs),
        outputs=map_leaves(lambda leaf: names[id(leaf)], outputs),
    )


def _is_flat(structure: Any) -> bool:
    """Whether it is a tensor, or a dict of tensors, as a signature has them."""
    parts = structure.values() if isinstance(structure, Mapping) else [structure]
    return not any(isinstance(part, Mapping | list | tuple) for part in parts)


def _refuse_lambdas(name: str, model: keras.Model) -> None:
    lambdas = [layer.name for layer in layers_of(model) if isinstance(layer, keras.layers.Lambda)]
    if lambdas:
        raise ExportError(lambda_message(name, lambdas))


def lambda_message(name: str, layers: list[str]) -> str:
    """The error about a model with Lambda layers."""
    return (
        f"{name} has Lambda layers ({', '.join(layers)}): they hold Python code of one program, "
        "which no file carries safely. Write each with stock operations, which are layers too: "
        "instead of Lambda(lambda x: x * 2 + tf.abs(x)) call x * 2 + keras.ops.abs(x) on the "
        "Keras tensors when building the model."
    )


def layers_of(model: Any) -> list[Any]:
    """A Keras model's layers, those inside other layers too."""
    flatten_layers = getattr(model, "_flatten_layers", None)
    return list(flatten_layers(include_self=False)) if flatten_layers else []


def foreign(config: Any) -> Iterator[str]:
    """The classes and functions in a serialized Keras object that Keras itself does not have."""
    if isinstance(config, dict):
        registered, module = config.get("registered_name"), config.get("module") or ""
        if registered and module.split(".")[0] != "keras":  # keras_hub is another package
            inner = config.get("config")
            name = inner.get("name") if isinstance(inner, dict) else None
            yield f"{config.get('class_name')} {name}" if name else str(registered)
        for value in config.values():
            yield from foreign(value)
    elif isinstance(config, list | tuple):
        for value in config:
            yield from foreign(value)
