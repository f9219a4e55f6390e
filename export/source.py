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
from bundle.manifest import Structure
from bundle.signature import DTYPES, Signature, TensorSpec
from bundle.structure import flatten
from bundle.tensors import Arrays

Examples = Mapping[str, Mapping[str, np.ndarray[Any, Any]]]

# What tensors a bundle has no place for, and what to do instead.
_INSTEAD = {
    "string": "Look strings up before the model, and give it the integers.",
    "variant": "Give plain tensors: a ragged one as values and row lengths.",
    "resource": "Keep variables and tables inside the model.",
}


@dataclass(frozen=True)
class Source:
    """What `export.write` needs to know of a model.

    `functions` are what is behind the signatures: `tf.function`s, each with one declared signature,
    or the concrete functions of a loaded SavedModel; inputs and outputs are flat, and `structures`
    says where they were nested. `examples` gives, for each signature, an array for each input: the
    model's own data, or, of the signatures in `drawn`, what was drawn for want of it.
    `keras_forms` gives, for each signature, a `keras.Model` of the same weights made of stock
    layers, with the signature's names; for a `keras.Model` it is the model itself. `training` are
    signatures of training steps (see train_step.py), which no SavedModel holds, and `untrained`
    says of a Keras form why it has none.
    """

    name: str
    model: Any
    functions: Mapping[str, Any]
    examples: Examples
    keras_forms: Mapping[str, keras.Model] = field(default_factory=dict)
    draw_plots: Callable[[Path], None] | None = None
    training: Mapping[str, Any] = field(default_factory=dict)
    untrained: Mapping[str, str] = field(default_factory=dict)
    structures: Mapping[str, Structure] = field(default_factory=dict)
    drawn: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not self.functions:
            raise ExportError(f"{self.name} has no signature, so there is nothing to export.")
        for name, signature in self.signatures.items():
            _check_examples(name, signature, self.examples.get(name, {}))

    def concrete(self, signature: str) -> Any:
        """The one traced graph of a signature, the same object at every call."""
        return concrete_of(self._all[signature])

    @property
    def _all(self) -> dict[str, Any]:
        return {**self.functions, **self.training}

    @cached_property
    def signatures(self) -> dict[str, Signature]:
        """Every signature by name, the training steps' among them."""
        return {name: signature_of(name, self.concrete(name)) for name in self._all}

    def call(self, signature: str, inputs: Mapping[str, np.ndarray[Any, Any]]) -> Arrays:
        """What the original computes: its function itself, in this process."""
        return call(self._all[signature], inputs)

    @property
    def variables(self) -> list[Any]:
        """The model's variables; of a loaded SavedModel those that its signatures use."""
        if isinstance(found := getattr(self.model, "variables", None), tuple | list):
            return list(found)
        used = {v.ref(): v for name in self.functions for v in self.concrete(name).graph.variables}
        return sorted(used.values(), key=lambda variable: str(variable.name))


def call(function: Any, inputs: Mapping[str, np.ndarray[Any, Any]]) -> Arrays:
    """A flat function's outputs by name, as arrays."""
    outputs = function(**{name: tf.constant(array) for name, array in inputs.items()})
    # NumPy does not find out by itself what a bfloat16 tensor is.
    tensors = {name: tf.convert_to_tensor(value) for name, value in named(outputs).items()}
    return {name: np.asarray(tensor.numpy()) for name, tensor in tensors.items()}


def is_concrete(function: Any) -> bool:
    return isinstance(function, tf.types.experimental.ConcreteFunction)


def concrete_of(function: Any) -> Any:
    """The one graph of a function that is concrete already, declares its signature, or has one."""
    if is_concrete(function):
        return function
    return function.get_concrete_function() if function.input_signature else traces(function)[0]


def traces(function: Any) -> list[Any]:
    """The concrete functions that a tf.function holds, in the order in which they were traced."""
    return list(function._list_all_concrete_functions())  # public only as pretty-printed text


def train_step_name(signature: str) -> str:
    """What the training step of a signature's Keras form is called."""
    return f"{signature}_train_step"


def named(outputs: Any) -> dict[str, Any]:
    """Outputs by name, as `tf.saved_model.save` names them: keys of a dict, else `output_N`.

    Nested ones are named by their path, `boxes_0`. Raises ValueError where two get one name.
    """
    if isinstance(outputs, Mapping):
        return flatten(outputs)
    return {f"output_{n}": tensor for n, tensor in enumerate(tf.nest.flatten(outputs))}


def signature_of(name: str, concrete: Any) -> Signature:
    """The signature of a flat graph. Raises ExportError for what a bundle cannot carry."""
    args, kwargs = concrete.structured_input_signature
    inputs = [*args, *kwargs.values()]
    for spec in inputs:
        if not isinstance(spec, tf.TensorSpec):
            raise ExportError(
                f"{name}: every argument must be a dense tensor, and one is {spec}. "
                f"{_INSTEAD['variant']}"
            )
    outputs = named(concrete.structured_outputs)
    if not outputs:
        raise ExportError(f"{name} returns nothing: it must return a tensor or several.")
    for key, value in outputs.items():
        if not isinstance(value, tf.TensorSpec | tf.Tensor):
            raise ExportError(
                f"{name}: output {key} is a {type(value).__name__}, and a bundle carries dense "
                f"tensors. {_INSTEAD['variant']}"
            )
    return Signature(
        inputs={spec.name: _spec(f"{name}: input {spec.name}", spec) for spec in inputs},
        outputs={key: _spec(f"{name}: output {key}", value) for key, value in outputs.items()},
    )


def _spec(what: str, tensor: Any) -> TensorSpec:
    dtype = tensor.dtype.name
    if dtype not in DTYPES:
        instead = _INSTEAD.get(dtype, f"Use one of {', '.join(DTYPES)}.")
        raise ExportError(f"{what} is {dtype}, which a bundle cannot carry. {instead}")
    if tensor.shape.rank is None:
        raise ExportError(f"{what} has no rank. Declare its shape, with None where it is dynamic.")
    return TensorSpec(dtype=dtype, shape=tuple(tensor.shape))


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
    rows = {key: len(array) for key, array in examples.items()} if signature.batched else {}
    if len(set(rows.values())) > 1:
        raise UsageError(f"{name}: the examples have different numbers of rows: {rows}.")
