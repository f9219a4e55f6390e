"""A model of Keras 2, which is the package tf_keras today, becomes a Source."""

import sys
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from portproof.bundle.errors import ExportError, described
from portproof.bundle.structure import flatten
from portproof.sources.examples import complete_examples
from portproof.sources.keras_models import SIGNATURE
from portproof.sources.source import Source


def is_keras2(model: Any) -> bool:
    """Whether an object is a model of Keras 2. Nobody has one who has not imported it."""
    tf_keras = sys.modules.get("tf_keras")
    return tf_keras is not None and isinstance(model, tf_keras.Model)


def from_keras2(name: str, model: Any, examples: Any = None) -> Source:
    """A Source of a `tf_keras.Model`, as `serving_default`, in inference mode.

    Inputs are named after the model's Input layers, outputs after its output dict's keys or else
    as Keras 2 names them, after the layers that make them. Raises ExportError where the model has
    no inputs yet, or cannot be traced.
    """
    names = getattr(model, "input_names", None)
    if not names or any(shape is None for shape in tf.nest.flatten(model.inputs)):
        raise ExportError(
            f"{name} has no inputs: a subclassed or unbuilt tf_keras.Model says nothing of them. "
            "Build it from tf_keras.Input, or wrap it in a tf.Module with a declared tf.function."
        )
    specs = {}
    for key, tensor in zip(names, tf.nest.flatten(model.inputs), strict=True):
        spec = tensor.type_spec if hasattr(tensor, "type_spec") else tensor
        if not isinstance(spec, tf.TensorSpec):
            raise ExportError(
                f"{name}: input {key} is sparse or ragged, which a bundle cannot carry. Take a "
                "dense tensor, and make it sparse inside the model."
            )
        specs[key] = tf.TensorSpec(spec.shape, spec.dtype, name=key)
    structure = getattr(model, "_nested_inputs", model.inputs[0])  # which has no public name

    def serve(**inputs: Any) -> dict[str, Any]:
        given = tf.nest.pack_sequence_as(structure, [inputs[key] for key in names])
        outputs = model(given, training=False)
        if isinstance(outputs, Mapping):
            return flatten(outputs)
        return dict(zip(model.output_names, tf.nest.flatten(outputs), strict=True))

    function = tf.function(serve, autograph=False)
    try:
        function.get_concrete_function(**specs)
    except Exception as error:  # whatever a layer raises
        raise ExportError(f"{name} cannot be traced: {described(error, 300)}") from error
    functions = {SIGNATURE: function}
    inputs, generated = complete_examples(functions, examples)
    return Source(name, model, functions, inputs, generated_inputs=generated)
