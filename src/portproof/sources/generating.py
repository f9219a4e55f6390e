"""Generates example inputs for a signature, from it and from its graph, where nobody gave any."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from portproof.bundle.errors import UsageError, one_line
from portproof.bundle.signature import DTYPES, Signature, TensorSpec
from portproof.sources.functions import call, concrete_of, signature_of
from portproof.sources.ranges import Normal, Range, Uniform, known_ranges

ROWS = 16
# Lengths that are tried for dynamic dimensions: long enough for a window or a kernel, and short.
LENGTHS = (8, 32, 64, 1)
# Ranges that are tried for floats, until every output is finite.
FLOATS: tuple[Range, ...] = (Normal(), Uniform(0.05, 1.0), Uniform(0.0, 1.0))
_SEED = 22


def generate(name: str, function: Any) -> dict[str, np.ndarray[Any, Any]]:
    """An array for each input of a flat function, `ROWS` rows where the first dimension is dynamic.

    Where the graph tells the range of an input, its values are from that: an index of its table,
    pixels that a rescaling layer expects (see ranges.py). Other floats are standard normal, other
    integers below 8. Raises UsageError where the model refuses everything that was tried.
    """
    concrete = concrete_of(function)
    signature = signature_of(name, concrete)
    known = known_ranges(concrete)
    refused = ""
    for floats, length in ((f, n) for n in LENGTHS for f in FLOATS):
        inputs = _inputs(signature, known, floats, length)
        try:
            outputs = call(function, inputs)
        except (tf.errors.OpError, ValueError) as error:
            refused = one_line(error, 200)
            continue
        if all(_is_finite(array) for array in outputs.values()):
            return inputs
        refused = "its outputs are not finite"
        if not _has_floats(signature):
            return inputs
    raise UsageError(
        f"{name}: no example inputs could be generated that the model takes ({refused}). "
        "Give some of its own data: --inputs data.npz, or inputs={...} in Python."
    )


def _has_floats(signature: Signature) -> bool:
    return any(tf.as_dtype(spec.dtype).is_floating for spec in signature.inputs.values())


def _inputs(
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
        return np.asarray((known or floats).sample(random, shape)).astype(dtype)
    lowest = 0 if dtype.kind == "u" else -8
    chosen = known or Uniform(lowest, 8, whole=True)
    return np.asarray(chosen.sample(random, shape)).astype(dtype)


def _is_finite(array: np.ndarray[Any, Any]) -> bool:
    return array.dtype.kind in "iub" or bool(np.isfinite(array.astype(np.float64)).all())
