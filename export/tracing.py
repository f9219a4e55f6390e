"""Which graphs a `tf.function` holds, and how often TensorFlow traced it."""

from typing import Any

import tensorflow as tf

from bundle.manifest import Function
from export.source import is_concrete, traces


def describe(name: str, function: Any) -> Function:
    """A function's name, its count of traces, and the inputs of each trace, as text."""
    if is_concrete(function):  # loaded, and never traced again
        return Function(name=name, traces=1, signatures=(_inputs(function),))
    return Function(
        name=name,
        traces=function.experimental_get_tracing_count(),
        signatures=tuple(_inputs(concrete) for concrete in traces(function)),
    )


def _inputs(concrete: Any) -> str:
    args, kwargs = concrete.structured_input_signature
    specs = tf.nest.flatten([args, kwargs])
    return "(" + ", ".join(_text(spec) for spec in specs) + ")"


def _text(spec: Any) -> str:
    if not isinstance(spec, tf.TensorSpec):
        return repr(spec)
    shape = "..." if spec.shape.rank is None else ", ".join(str(d or "?") for d in spec.shape)
    return f"{spec.name}: {spec.dtype.name}[{shape}]"
