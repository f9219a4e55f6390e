"""`tf.function`s as signatures: their one graph, its inputs and outputs, and what they compute."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from portproof.bundle.errors import ExportError
from portproof.bundle.manifest import Function
from portproof.bundle.signature import DTYPES, Signature, TensorSpec
from portproof.bundle.structure import flatten
from portproof.bundle.tensors import Arrays

# Dtypes that a bundle cannot carry, and what to do instead.
_INSTEAD = {
    "string": "Look strings up before the model, and give it the integers.",
    "variant": "Give plain tensors: a ragged one as values and row lengths.",
    "resource": "Keep variables and tables inside the model.",
}


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


def call(function: Any, inputs: Mapping[str, np.ndarray[Any, Any]]) -> Arrays:
    """A flat function's outputs by name, as arrays."""
    outputs = function(**{name: tf.constant(array) for name, array in inputs.items()})
    # NumPy alone does not know what a bfloat16 tensor is.
    tensors = {name: tf.convert_to_tensor(value) for name, value in named(outputs).items()}
    return {name: np.asarray(tensor.numpy()) for name, tensor in tensors.items()}


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
    for spec in (*args, *kwargs.values()):
        if not isinstance(spec, tf.TensorSpec):
            raise ExportError(
                f"{name}: every argument must be a dense tensor, and one is {spec}. "
                f"{_INSTEAD['variant']}"
            )
    # A keyword is the name of an input as it is; its spec's name is in small letters.
    inputs = {**{spec.name: spec for spec in args}, **kwargs}
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
        inputs={key: _spec(f"{name}: input {key}", spec) for key, spec in inputs.items()},
        outputs={key: _spec(f"{name}: output {key}", value) for key, value in outputs.items()},
    )


def _spec(place: str, tensor: Any) -> TensorSpec:
    dtype = tensor.dtype.name
    if dtype not in DTYPES:
        instead = _INSTEAD.get(dtype, f"Use one of {', '.join(DTYPES)}.")
        raise ExportError(f"{place} is {dtype}, which a bundle cannot carry. {instead}")
    if tensor.shape.rank is None:
        raise ExportError(f"{place} has no rank. Declare its shape, with None where it is dynamic.")
    return TensorSpec(dtype=dtype, shape=tuple(tensor.shape))


def traced_function(name: str, function: Any) -> Function:
    """A function's name, its count of traces, and the inputs of each trace, as text."""
    if is_concrete(function):  # loaded, and never traced again
        return Function(name=name, traces=1, signatures=(_inputs_text(function),))
    return Function(
        name=name,
        traces=function.experimental_get_tracing_count(),
        signatures=tuple(_inputs_text(concrete) for concrete in traces(function)),
    )


def _inputs_text(concrete: Any) -> str:
    args, kwargs = concrete.structured_input_signature
    specs = tf.nest.flatten([args, kwargs])
    return "(" + ", ".join(_spec_text(spec) for spec in specs) + ")"


def _spec_text(spec: Any) -> str:
    if not isinstance(spec, tf.TensorSpec):
        return repr(spec)
    shape = "..." if spec.shape.rank is None else ", ".join(str(d or "?") for d in spec.shape)
    return f"{spec.name}: {spec.dtype.name}[{shape}]"
