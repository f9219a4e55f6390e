"""Example inputs for a signature of which nobody gave any: drawn from it and from its graph."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from bundle.errors import UsageError, one_line
from bundle.signature import DTYPES, Signature, TensorSpec
from export.ranges import Normal, Range, Uniform, ranges
from export.source import call, concrete_of, signature_of

ROWS = 16
# Of dynamic dimensions: long enough for a window or a kernel, and short.
LENGTHS = (8, 32, 64, 1)
# Of floats, the first of which makes every output a number.
FLOATS: tuple[Range, ...] = (Normal(), Uniform(0.05, 1.0), Uniform(0.0, 1.0))
_SEED = 22


def draw(name: str, function: Any) -> dict[str, np.ndarray[Any, Any]]:
    """An array for each input of a flat function, `ROWS` rows where the first dimension is dynamic.

    Where the graph says what an input is, it is drawn from that: an index from its table, pixels
    from what a rescaling layer expects (see ranges.py). Other floats are standard normal, other
    integers below 8. Raises UsageError where nothing drawn is accepted and gives finite outputs.
    """
    concrete = concrete_of(function)
    signature = signature_of(name, concrete)
    known = ranges(concrete)
    refused = ""
    for floats, length in ((f, n) for n in LENGTHS for f in FLOATS):
        inputs = _drawn(signature, known, floats, length)
        try:
            outputs = call(function, inputs)
        except (tf.errors.OpError, ValueError) as error:
            refused = one_line(error, 200)
            continue
        if all(_is_finite(array) for array in outputs.values()):
            return inputs
        refused = "its outputs are not finite"
        if not _has_choice(signature):
            return inputs
    raise UsageError(
        f"{name}: no example inputs could be drawn that the model takes ({refused}). "
        "Give some of its own data: --inputs data.npz, or inputs={...} in Python."
    )


def _has_choice(signature: Signature) -> bool:
    return any(tf.as_dtype(spec.dtype).is_floating for spec in signature.inputs.values())


def _drawn(
    signature: Signature, known: Mapping[str, Range], floats: Range, length: int
) -> dict[str, np.ndarray[Any, Any]]:
    random = np.random.default_rng(_SEED)
    rows = ROWS if signature.batched else length
    return {
        name: _array(spec, known.get(name), floats, rows, length, random)
        for name, spec in signature.inputs.items()
    }


def _array(
    spec: TensorSpec, known: Range | None, floats: Range, rows: int, length: int, random: Any
) -> np.ndarray[Any, Any]:
    sizes = [rows if n == 0 else length for n in range(len(spec.shape))]
    shape = [size if dim is None else dim for dim, size in zip(spec.shape, sizes, strict=True)]
    dtype = DTYPES[spec.dtype]
    if spec.dtype == "bool":
        return np.asarray(random.random(shape) < 0.5)
    if tf.as_dtype(spec.dtype).is_floating:
        return np.asarray((known or floats).draw(random, shape)).astype(dtype)
    lowest = 0 if dtype.kind == "u" else -8
    chosen = known or Uniform(lowest, 8, whole=True)
    return np.asarray(chosen.draw(random, shape)).astype(dtype)


def _is_finite(array: np.ndarray[Any, Any]) -> bool:
    return array.dtype.kind in "iub" or bool(np.isfinite(array.astype(np.float64)).all())
