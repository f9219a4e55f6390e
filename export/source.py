"""Source: a model with its signatures and example inputs, ready to export."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bundle.errors import ExportError, UsageError
from bundle.signature import DTYPES, Signature, TensorSpec
from bundle.tensors import Arrays

Examples = Mapping[str, Mapping[str, np.ndarray[Any, Any]]]


@dataclass(frozen=True)
class Source:
    """What `export.write` needs to know of a model.

    `functions` are the `tf.function`s behind the signatures, each with one declared signature.
    `examples` gives, for each signature, an array for each input: the model's own data.
    `keras_forms` gives, for each signature, a `keras.Model` of the same weights made of stock
    layers, with the signature's names; for a `keras.Model` it is the model itself. `training` are
    signatures of training steps (see train_step.py), which no SavedModel holds.
    """

    name: str
    model: Any
    functions: Mapping[str, Any]
    examples: Examples
    keras_forms: Mapping[str, keras.Model] = field(default_factory=dict)
    draw_plots: Callable[[Path], None] | None = None
    training: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.functions:
            raise ExportError(f"{self.name} has no signature, so there is nothing to export.")
        for name, signature in self.signatures.items():
            _check_examples(name, signature, self.examples.get(name, {}))

    def concrete(self, signature: str) -> Any:
        """The one traced graph of a signature, the same object at every call."""
        function = self._all[signature]
        # Declared, there is one to ask for; traced, there is one to find.
        return function.get_concrete_function() if function.input_signature else traces(function)[0]

    @property
    def _all(self) -> dict[str, Any]:
        return {**self.functions, **self.training}

    @cached_property
    def signatures(self) -> dict[str, Signature]:
        """Every signature by name, the training steps' among them."""
        return {name: _signature(name, self.concrete(name)) for name in self._all}

    def call(self, signature: str, inputs: Mapping[str, np.ndarray[Any, Any]]) -> Arrays:
        """What the original computes: the `tf.function` itself, in this process."""
        feed = {name: tf.constant(array) for name, array in inputs.items()}
        outputs = self._all[signature](**feed)
        return {name: np.asarray(tensor) for name, tensor in named(outputs).items()}


def train_step_name(signature: str) -> str:
    """What the training step of a signature's Keras form is called."""
    return f"{signature}_train_step"


def named(outputs: Any) -> dict[str, Any]:
    """Outputs by name, as `tf.saved_model.save` names them: keys of a dict, else `output_N`."""
    if isinstance(outputs, Mapping):
        return dict(outputs)
    return {f"output_{n}": tensor for n, tensor in enumerate(tf.nest.flatten(outputs))}


def from_module(
    name: str,
    module: tf.Module,
    examples: Mapping[str, Any],
    signatures: Mapping[str, Any] | None = None,
) -> Source:
    """A Source of a `tf.Module`: its declared or traced functions, or those of `signatures`.

    Raises ExportError where a function has no signature or several, saying how to declare one.
    """
    functions = dict(signatures or _functions_of(module))
    if not functions:
        raise ExportError(
            f"{type(module).__name__} has no tf.function, and a SavedModel holds only those. "
            "Decorate a method with @tf.function(input_signature=[tf.TensorSpec(...)])."
        )
    for key, function in functions.items():
        _check_declared(f"{type(module).__name__}.{key}", function)
    return Source(name, module, functions, _by_signature(examples, list(functions)))


def _by_signature(examples: Mapping[str, Any], signatures: list[str]) -> Examples:
    """Examples by signature and input; where there is one signature, its name may be left out."""
    if len(signatures) == 1 and set(examples) != set(signatures):
        examples = {signatures[0]: examples}
    for signature, arrays in examples.items():
        if not isinstance(arrays, Mapping):
            raise UsageError(
                f"there are several signatures: give inputs={{'{signatures[0]}': {{...}}, ...}}, "
                f"not an array for {signature}."
            )
    return {
        signature: {name: np.asarray(array) for name, array in arrays.items()}
        for signature, arrays in examples.items()
    }


def from_keras(
    name: str,
    model: keras.Model,
    examples: Examples,
    draw_plots: Callable[[Path], None] | None = None,
) -> Source:
    """A Source of a `keras.Model`, as `serving_default`, in inference mode.

    Raises ExportError where the model has no inputs yet, or two outputs of one name.

    Inputs are named as the model's Input layers, outputs as its output dict's keys or else as the
    layers that make them.
    """
    if not getattr(model, "inputs", None):
        raise ExportError(
            f"{name} has no inputs: a subclassed or unbuilt keras.Model says nothing of them. "
            "Build it from keras.Input, or wrap it in a tf.Module with a declared tf.function."
        )
    specs = {
        tensor.name: tf.TensorSpec(tensor.shape, tensor.dtype, name=tensor.name)
        for tensor in keras.tree.flatten(model.inputs)
    }

    def serve(**inputs: Any) -> dict[str, Any]:
        return keras_outputs(model, model(keras_feed(inputs), training=False))

    function = tf.function(serve, autograph=False)
    function.get_concrete_function(**specs)
    return Source(
        name,
        model,
        {"serving_default": function},
        examples,
        {"serving_default": model},
        draw_plots,
    )


def keras_feed(inputs: Mapping[str, Any]) -> Any:
    """Inputs by name as a `keras.Model` takes them: one alone, several as a dict."""
    return dict(inputs) if len(inputs) > 1 else next(iter(inputs.values()))


def keras_structure(model: keras.Model) -> Any:
    """What a call of `model` returns, as specs in its own structure; nothing is computed."""
    return model.compute_output_spec(keras_feed({tensor.name: tensor for tensor in model.inputs}))


def keras_outputs(model: keras.Model, outputs: Any) -> dict[str, Any]:
    """What a call of `model` returned, by name."""
    if isinstance(outputs, Mapping):
        return dict(outputs)
    layers = [tensor._keras_history.operation.name for tensor in keras.tree.flatten(model.outputs)]
    if len(set(layers)) < len(layers):
        raise ExportError(
            f"{model.name} has several outputs of one layer ({', '.join(layers)}), so they have no "
            "names of their own. Return a dict: keras.Model(inputs, {'name': output, ...})."
        )
    return dict(zip(layers, keras.tree.flatten(outputs), strict=True))


def _functions_of(module: tf.Module) -> dict[str, Any]:
    """The module's own tf.functions, by attribute name."""
    kind = type(tf.function(lambda: None))
    names = [name for name in dir(module) if isinstance(getattr(type(module), name, None), kind)]
    return {name: getattr(module, name) for name in names}


def _check_declared(name: str, function: Any) -> None:
    traced = traces(function)
    if function.input_signature is None and len(traced) != 1:
        state = "was never traced" if not traced else f"was traced for {len(traced)} signatures"
        raise ExportError(
            f"{name} declares no signature and {state}. A SavedModel holds only signatures that "
            "were declared or traced, and Portproof exports one for each function: declare it "
            "with @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name='x')])."
        )


def traces(function: Any) -> list[Any]:
    """The concrete functions that a tf.function holds, in the order in which they were traced."""
    return list(function._list_all_concrete_functions())  # public only as pretty-printed text


def _signature(name: str, concrete: Any) -> Signature:
    args, kwargs = concrete.structured_input_signature
    inputs = [*args, *kwargs.values()]
    if not all(isinstance(spec, tf.TensorSpec) for spec in inputs):
        raise ExportError(f"{name}: every argument must be a tensor, but the inputs are {inputs}.")
    outputs = named(concrete.structured_outputs)
    if not outputs or not all(isinstance(v, tf.TensorSpec | tf.Tensor) for v in outputs.values()):
        raise ExportError(f"{name} must return a tensor or a flat dict of tensors, not {outputs}.")
    return Signature(
        inputs={spec.name: _spec(f"{name}: input {spec.name}", spec) for spec in inputs},
        outputs={key: _spec(f"{name}: output {key}", value) for key, value in outputs.items()},
    )


def _spec(what: str, tensor: Any) -> TensorSpec:
    if tensor.dtype.name not in DTYPES:
        raise ExportError(f"{what} is {tensor.dtype.name}, which a bundle cannot carry.")
    if tensor.shape.rank is None:
        raise ExportError(f"{what} has no rank. Declare its shape, with None where it is dynamic.")
    return TensorSpec(dtype=tensor.dtype.name, shape=tuple(tensor.shape))


def _check_examples(
    name: str, signature: Signature, examples: Mapping[str, np.ndarray[Any, Any]]
) -> None:
    if set(examples) != set(signature.inputs):
        raise UsageError(
            f"{name}: example inputs are given for {sorted(examples) or 'nothing'}, "
            f"and the signature's inputs are {sorted(signature.inputs)}."
        )
    for key, array in examples.items():
        if not signature.inputs[key].admits(array):
            raise UsageError(
                f"{name}: the example for {key} is {array.dtype}{list(array.shape)}, "
                f"and the signature says {signature.inputs[key]}."
            )
        if array.size == 0:
            raise UsageError(f"{name}: the example for {key} is empty, which proves nothing.")
