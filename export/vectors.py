"""Test vectors: what the original computes for each case, what the oracle does, and how near."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import tensorflow as tf

from bundle import digest, tensors
from bundle.manifest import Sweep, Vector
from bundle.tensors import Arrays
from export.cases import Case, cases, training_cases
from export.formula import formulas
from export.source import Source, named
from oracle.graph import Oracle


def write(source: Source, folder: Path) -> tuple[tuple[Vector, ...], dict[str, tuple[str, ...]]]:
    """Compute and write all cases of all signatures below `folder/vectors`.

    Also gives, by signature, the functions in its graph of which shaders promise less.
    """
    (folder / "vectors").mkdir()
    written, shaded = [], {}
    for name, signature in source.signatures.items():
        oracle = Oracle(source.concrete(name))
        if oracle.shaded:
            shaded[name] = oracle.shaded
        drawn = training_cases if name in source.training else cases
        known = formulas(source.concrete(name))
        for case in drawn(signature, source.examples[name]):
            computed = _computed(source, name, case, oracle)
            if computed:
                sweep = Sweep(input=case.swept, of=known) if case.swept else None
                written.append(_write_case(folder, name, case, sweep, computed))
    return tuple(written), shaded


def _computed(source: Source, name: str, case: Case, oracle: Oracle) -> Arrays | None:
    """A case's arrays by `group/NAME`; None for an edge that the original itself refuses.

    An index past an embedding's table has no reference, so it is no test of a runtime. Of a sweep,
    that leaves the points below it.
    """
    try:
        return _compute(source, name, case.inputs, oracle)
    except tf.errors.InvalidArgumentError:
        if case.regime != "edge":
            raise
    accepted = _accepted(source, name, case) if case.swept else None
    return _compute(source, name, accepted, oracle) if accepted else None


def _compute(source: Source, name: str, inputs: Arrays, oracle: Oracle) -> Arrays:
    reference = source.call(name, inputs)
    deviations = oracle.deviations(inputs)
    groups = {
        "inputs": inputs,
        "reference": reference,
        "oracle": _floats(deviations.exact),
        "rounding": _narrowed(deviations.correct, deviations.exact),
        "shader": _narrowed(deviations.shader, deviations.exact) if oracle.shaded else {},
    }
    return {f"{group}/{key}": a for group, found in groups.items() for key, a in found.items()}


def _floats(outputs: Any) -> Arrays:
    """Those outputs for which an oracle means something: integers must be exact without one."""
    arrays = {name: np.asarray(array) for name, array in named(outputs).items()}
    return {name: array for name, array in arrays.items() if array.dtype == np.float64}


def _narrowed(deviations: Any, exact: Any) -> Arrays:
    """Deviations of the float outputs as float32, which is as exact as they are meant."""
    most = np.finfo(np.float32).max
    return {
        name: np.minimum(np.asarray(named(deviations)[name]), most).astype(np.float32)
        for name in _floats(exact)
    }


def _accepted(source: Source, name: str, case: Case) -> Arrays | None:
    """As many of a sweep's points, from the smallest on, as the original takes.

    Where it takes no negative ones, as an embedding does, the others alone.
    """
    assert case.swept
    points = case.inputs[case.swept]
    for keep in (np.ones(len(points), bool), (points >= 0).reshape(len(points), -1).all(axis=1)):
        rows = np.flatnonzero(keep)
        few, many = 0, len(rows)
        while few < many:
            middle = (few + many + 1) // 2
            if _takes(source, name, _rows(case.inputs, rows[:middle])):
                few = middle
            else:
                many = middle - 1
        if few > 1:
            return _rows(case.inputs, rows[:few])
    return None


def _rows(inputs: Mapping[str, np.ndarray[Any, Any]], rows: Any) -> Arrays:
    return {name: array[rows] for name, array in inputs.items()}


def _takes(source: Source, name: str, inputs: Arrays) -> bool:
    try:
        source.call(name, inputs)
    except tf.errors.InvalidArgumentError:
        return False
    return True


def _write_case(folder: Path, name: str, case: Case, sweep: Sweep | None, arrays: Arrays) -> Vector:
    # A signature may have any name; a file may not.
    path = f"vectors/{quote(name, safe='')}.{quote(case.name, safe='')}.safetensors"
    tensors.write(folder / path, arrays)
    return Vector(
        signature=name,
        regime=case.regime,
        case=case.name,
        file=digest.describe(folder, path),
        sweep=sweep,
    )
