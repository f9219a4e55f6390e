"""Inputs for each regime, made from the signature and the example inputs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from portproof.bundle.manifest import Regime
from portproof.bundle.signature import DTYPES, Signature, TensorSpec
from portproof.bundle.tensors import Arrays
from portproof.vectors import sweeps

BATCHES = (1, 7, 1000)
TRAINING_BATCHES = (1, 7, 32)
# Rows that a case may have for each special value of a kind, of which there are up to eight.
ROWS_PER_VALUE = 4


@dataclass(frozen=True)
class Case:
    """Inputs to run as one call.

    Attributes:
        swept: The input that is taken along its magnitudes; None where none is.
        rows: The positions of the rows that the inputs consist of, of `typical` among the examples,
            else among those of `typical`; None where they are other values.
        optional: Whether the case is dropped where the original refuses its inputs.
    """

    regime: Regime
    name: str
    inputs: Arrays
    swept: str | None = None
    rows: np.ndarray[Any, Any] | None = None
    optional: bool = False


def cases(
    signature: Signature, examples: Mapping[str, np.ndarray[Any, Any]], max_rows: int
) -> Iterator[Case]:
    """Every case of one signature, in the order in which they are to be run.

    `batch` ends with its first case again: a stateful backend goes wrong on a later call. Where
    the first dimension is not dynamic there is one batch size, and `batch` is that call repeated.
    Other dynamic dimensions are taken shorter and longer there. No case that decides has more than
    `max_rows` rows. What only gets reported (`edge`) costs less than that where rows are expensive:
    of special values it has one in `ROWS_PER_VALUE` then, of a sweep's points as few as
    `sweeps.FEW`.
    """
    rows, examples, chosen = signature.batched, *_at_most(signature, examples, max_rows)
    yield Case("typical", "typical", dict(examples), rows=chosen)
    yield from _other_lengths(signature, examples)
    yield from _batches(examples, BATCHES if rows else (), max_rows)
    if rows:
        yield Case("edge", "edge-zero-rows", _resized(examples, 0))
    for kind in _kinds(signature):
        yield from _edge_cases(signature, examples, kind, max_rows)
    for name in signature.inputs:
        yield from _sweep_cases(examples, name, rows, max_rows)


def training_cases(
    signature: Signature, examples: Mapping[str, np.ndarray[Any, Any]], max_rows: int
) -> Iterator[Case]:
    """Cases of a training step: batches of sizes that people train with, and no edge."""
    examples, chosen = _at_most(signature, examples, max_rows)
    yield Case("typical", "typical", dict(examples), rows=chosen)
    yield from _batches(examples, TRAINING_BATCHES if signature.batched else (), max_rows)


def _at_most(
    signature: Signature, examples: Mapping[str, np.ndarray[Any, Any]], max_rows: int
) -> tuple[Mapping[str, np.ndarray[Any, Any]], np.ndarray[Any, Any] | None]:
    """The examples, or `max_rows` of them, and which rows these are; None without rows."""
    if not signature.batched:
        return examples, None
    available = len(next(iter(examples.values())))
    if available <= max_rows:
        return examples, np.arange(available)
    return _resized(examples, max_rows), _spread(available, max_rows)


def _other_lengths(
    signature: Signature, examples: Mapping[str, np.ndarray[Any, Any]]
) -> Iterator[Case]:
    """All dynamic dimensions but the batch at half their length, and at half as much again."""
    first = 1 if signature.batched else 0
    dynamic = {
        name: [axis for axis, dim in enumerate(spec.shape) if dim is None and axis >= first]
        for name, spec in signature.inputs.items()
    }
    if not any(dynamic.values()):
        return
    for name, part in (("shorter", 0.5), ("longer", 1.5)):
        inputs = dict(examples)
        for key, axes in dynamic.items():
            for axis in axes:
                length = inputs[key].shape[axis]
                positions = np.arange(int(length * part) + 1) % length
                inputs[key] = inputs[key].take(positions, axis=axis)
        yield Case("batch", f"batch-{name}", inputs, optional=True)


def _batches(
    examples: Mapping[str, np.ndarray[Any, Any]], sizes: tuple[int, ...], max_rows: int
) -> Iterator[Case]:
    sizes = tuple(dict.fromkeys(min(size, max_rows) for size in sizes))
    names = [f"batch-{size}" for size in sizes]
    again = [(f"batch-{size}-again", size) for size in sizes[:1]]
    for name, size in (*zip(names, sizes, strict=True), *again):
        lengths = {len(array) for array in examples.values()}
        rows = _spread(lengths.pop(), size) if len(lengths) == 1 else None
        yield Case("batch", name, _resized(examples, size), rows=rows)
    if not sizes:
        yield Case("batch", "batch-again", dict(examples))


def _resized(examples: Mapping[str, np.ndarray[Any, Any]], rows: int) -> Arrays:
    """The examples' rows, spread evenly over all of them, repeated where there are too few."""
    return {name: array[_spread(len(array), rows)] for name, array in examples.items()}


def _spread(available: int, rows: int) -> np.ndarray[Any, Any]:
    return np.arange(rows) * max(available // max(rows, 1), 1) % available


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
    normal, subnormal, largest = (
        float(x) for x in (limits.smallest_normal, limits.smallest_subnormal, limits.max)
    )
    positive = {
        "infinity": [np.inf],
        "zero": [0.0],
        "denormal": [subnormal, normal - subnormal],
        "large": [largest, largest**0.5, 2 * largest**0.5],
        "small": [normal, normal**0.5],
    }
    signed = {kind: [*xs, *(-x for x in xs)] for kind, xs in positive.items()}
    return {kind: np.array(xs, dtype) for kind, xs in {"nan": [np.nan], **signed}.items()}


def _kinds(signature: Signature) -> list[str]:
    kinds = [kind for spec in signature.inputs.values() for kind in special_values(spec)]
    return list(dict.fromkeys(kinds))


def _edge_cases(
    signature: Signature, examples: Mapping[str, np.ndarray[Any, Any]], kind: str, max_rows: int
) -> Iterator[Case]:
    """Inputs filled with the special values of a kind; inputs that have none keep their examples.

    Batched: one case, a row for each value, filled up to a batch size that there is anyway: many
    runtimes compile for each size. Otherwise: a case for each value.
    """
    values = {
        name: special[kind]
        for name, spec in signature.inputs.items()
        if kind in (special := special_values(spec))
    }
    count = max(len(array) for array in values.values())
    count = min(count, max(max_rows // ROWS_PER_VALUE, 1))
    if signature.batched:
        count = next((size for size in BATCHES if count <= size <= max_rows), count)
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


def _sweep_cases(
    examples: Mapping[str, np.ndarray[Any, Any]], name: str, rows: bool, max_rows: int
) -> Iterator[Case]:
    """One input along its magnitudes, the others as they are. Batched: one case, a row a point."""
    if rows:
        points = sweeps.points(examples[name], max_rows)
        if len(points):
            inputs = {**_resized(examples, len(points)), name: points}
            yield Case("edge", f"edge-sweep-{name}", inputs, name)
        return
    for n, point in enumerate(sweeps.points(examples[name][None], min(max_rows, sweeps.CALLS))):
        yield Case("edge", f"edge-sweep-{name}-{n}", {**examples, name: point}, name)
