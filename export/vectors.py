"""Inputs for each regime, drawn from the signature and the example inputs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import ml_dtypes
import numpy as np
import tensorflow as tf

from bundle import digest, tensors
from bundle.manifest import Regime, Vector
from bundle.signature import DTYPES, Signature, TensorSpec
from bundle.tensors import Arrays
from export.reference import Oracle, floats
from export.source import Source, named

BATCHES = (1, 7, 1000)
TRAINING_BATCHES = (1, 7, 32)


@dataclass(frozen=True)
class Case:
    """Inputs to run as one call."""

    regime: Regime
    name: str
    inputs: Arrays


def write(source: Source, folder: Path) -> tuple[Vector, ...]:
    """Compute and write all cases of all signatures below `folder/vectors`."""
    (folder / "vectors").mkdir()
    written = []
    for name, signature in source.signatures.items():
        oracle = Oracle(source.concrete(name))
        drawn = training_cases if name in source.training else cases
        for case in drawn(signature, source.examples[name]):
            computed = _compute(source, name, case, oracle)
            if computed:
                written.append(_write_case(folder, name, case, computed))
    return tuple(written)


def _compute(source: Source, name: str, case: Case, oracle: Oracle) -> Arrays | None:
    """A case's arrays by `group/NAME`; None for an edge that the original itself refuses.

    An index past an embedding's table has no reference, so it is no test of a runtime.
    """
    try:
        reference = source.call(name, case.inputs)
        exact = floats(named(oracle(case.inputs)))
    except tf.errors.InvalidArgumentError:
        if case.regime == "edge":
            return None
        raise
    groups = {"inputs": case.inputs, "reference": reference, "oracle": exact}
    return {f"{group}/{key}": a for group, found in groups.items() for key, a in found.items()}


def _write_case(folder: Path, name: str, case: Case, arrays: Arrays) -> Vector:
    # A signature may have any name; a file may not.
    path = f"vectors/{quote(name, safe='')}.{case.name}.safetensors"
    tensors.write(folder / path, arrays)
    return Vector(
        signature=name, regime=case.regime, case=case.name, file=digest.describe(folder, path)
    )


def cases(signature: Signature, examples: Mapping[str, np.ndarray[Any, Any]]) -> Iterator[Case]:
    """Every case of one signature, in the order in which they are to be run.

    `batch` ends with its first case again: a stateful backend goes wrong on a later call. Where
    the first dimension is not dynamic there is one batch size, and `batch` is that call repeated.
    """
    yield Case("typical", "typical", dict(examples))
    rows = signature.batched
    yield from _batches(examples, BATCHES if rows else ())
    if rows:
        yield Case("edge", "edge-zero-rows", _resized(examples, 0))
    for kind in _kinds(signature):
        yield from _edge_cases(signature, examples, kind, rows)


def training_cases(
    signature: Signature, examples: Mapping[str, np.ndarray[Any, Any]]
) -> Iterator[Case]:
    """Cases of a training step: batches of sizes that one trains in, and no edge."""
    yield Case("typical", "typical", dict(examples))
    yield from _batches(examples, TRAINING_BATCHES if signature.batched else ())


def _batches(
    examples: Mapping[str, np.ndarray[Any, Any]], sizes: tuple[int, ...]
) -> Iterator[Case]:
    for size in sizes:
        yield Case("batch", f"batch-{size}", _resized(examples, size))
    if sizes:
        yield Case("batch", f"batch-{sizes[0]}-again", _resized(examples, sizes[0]))
    else:
        yield Case("batch", "batch-again", dict(examples))


def _resized(examples: Mapping[str, np.ndarray[Any, Any]], rows: int) -> Arrays:
    """The examples' rows, spread evenly over all of them, repeated where there are too few."""
    resized = {}
    for name, array in examples.items():
        have = len(array)
        spread = np.arange(rows) * max(have // max(rows, 1), 1)
        resized[name] = array[spread % have]
    return resized


def special_values(spec: TensorSpec) -> Arrays:
    """Values at the ends of a dtype, by kind: `{"infinity": [inf, -inf]}`.

    Floats: IEEE 754's special values, the largest and smallest normal magnitudes and their square
    roots (whose products overflow or underflow). Integers: both ends, and the first integers that
    float32 (2^24 + 1) and float64 (2^53 + 1) cannot hold.
    """
    dtype = DTYPES[spec.dtype]
    if spec.dtype == "bool":
        return {"bool": np.array([False, True])}
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        ends = [info.min, info.min + 1, 0, 1, info.max - 1, info.max]
        beyond = [n for p in (24, 53) for n in (2**p, 2**p + 1, -(2**p) - 1)]
        fitting = [n for n in (*ends, *beyond) if info.min <= n <= info.max]
        return {"integer-extremes": np.array(fitting, dtype)}
    limits: Any = ml_dtypes.finfo(dtype)  # type: ignore[no-untyped-call]
    tiny, least, most = (
        float(x) for x in (limits.smallest_normal, limits.smallest_subnormal, limits.max)
    )
    positive = {
        "infinity": [np.inf],
        "zero": [0.0],
        "denormal": [least, tiny - least],
        "large": [most, most**0.5, 2 * most**0.5],
        "small": [tiny, tiny**0.5],
    }
    signed = {kind: [*xs, *(-x for x in xs)] for kind, xs in positive.items()}
    return {kind: np.array(xs, dtype) for kind, xs in {"nan": [np.nan], **signed}.items()}


def _kinds(signature: Signature) -> list[str]:
    found = [kind for spec in signature.inputs.values() for kind in special_values(spec)]
    return list(dict.fromkeys(found))


def _edge_cases(
    signature: Signature, examples: Mapping[str, np.ndarray[Any, Any]], kind: str, rows: bool
) -> Iterator[Case]:
    """Inputs filled with the special values of a kind; inputs that have none keep their examples.

    Batched: one case, a row for each value. Otherwise: a case for each value.
    """
    values = {
        name: found[kind]
        for name, spec in signature.inputs.items()
        if kind in (found := special_values(spec))
    }
    count = max(len(array) for array in values.values())
    if rows:
        inputs = _resized(examples, count)
        for name, array in values.items():
            column = np.resize(array, count).reshape((count,) + (1,) * (inputs[name].ndim - 1))
            inputs[name] = np.broadcast_to(column, inputs[name].shape)
        yield Case("edge", f"edge-{kind}", inputs)
        return
    for n in range(count):
        filled = {
            name: np.full_like(examples[name], array[n % len(array)])
            for name, array in values.items()
        }
        yield Case("edge", f"edge-{kind}-{n}", {**examples, **filled})
