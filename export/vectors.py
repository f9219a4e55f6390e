"""Test vectors: what the original computes for each case, what the oracle does, and how near."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import tensorflow as tf

from bundle import digest, tensors
from bundle.manifest import Regime, Sweep, Vector
from bundle.tensors import Arrays
from export.cases import Case, cases, training_cases
from export.effort import most_rows
from export.formula import formulas
from export.source import Source, named
from oracle.graph import Deviations, Oracle, narrowed


@dataclass
class Written:
    """The cases that were written; by signature, what its oracle says of its graph.

    `shaded` are the functions of which shaders promise less, `narrow` what it has in float32 alone.
    """

    vectors: list[Vector] = field(default_factory=list)
    shaded: dict[str, tuple[str, ...]] = field(default_factory=dict)
    narrow: dict[str, tuple[str, ...]] = field(default_factory=dict)


def write(source: Source, folder: Path, regimes: Collection[Regime]) -> Written:
    """Compute and write the cases of some regimes, of all signatures, below `folder/vectors`."""
    (folder / "vectors").mkdir()
    written = Written()
    for name, signature in source.signatures.items():
        oracle = Oracle(source.concrete(name))
        if oracle.shaded:
            written.shaded[name] = oracle.shaded
        if oracle.narrow:
            written.narrow[name] = oracle.narrow
        drawn = training_cases if name in source.training else cases
        known = formulas(source.concrete(name))
        measured = _Measured(oracle)
        row = {key: array[:1] for key, array in source.examples[name].items() if array.ndim}
        most = most_rows(signature, source.concrete(name), row)
        for case in drawn(signature, source.examples[name], most):
            if case.regime not in regimes:
                continue
            computed = _computed(source, name, case, measured)
            if computed:
                sweep = Sweep(input=case.swept, of=known) if case.swept else None
                written.vectors.append(_write_case(folder, name, case, sweep, computed))
    return written


class _Measured:
    """The oracle's deviations, computed once for what is computed again.

    A batch is made of the rows of the model's own data. Where the oracle gives each row what it
    gave it there, rows do not depend on each other, and neither does their rounding.
    """

    def __init__(self, oracle: Oracle) -> None:
        self.oracle = oracle
        self._own: Deviations | None = None

    def __call__(self, case: Case, inputs: Arrays) -> Deviations:
        if case.rows is not None and self._own is not None:
            exact = self.oracle(inputs)
            again = self._of_rows(case.rows)
            if again is not None and _alike(exact, again.exact):
                return replace(again, exact=exact)
        found = self.oracle.deviations(inputs)
        if case.regime == "typical":
            self._own = found
        return found

    def _of_rows(self, rows: Any) -> Deviations | None:
        """The same for these rows; None where an output has no rows."""
        assert self._own
        outputs = tf.nest.flatten(self._own.exact)
        if any(np.ndim(array) == 0 or len(array) <= rows.max(initial=0) for array in outputs):
            return None

        def taken(found: Any) -> Any:
            return None if found is None else tf.nest.map_structure(lambda a: a[rows], found)

        own = self._own
        return Deviations(taken(own.exact), taken(own.correct), taken(own.shader))


def _alike(exact: Any, again: Any) -> bool:
    """Whether the same was computed, up to float64's own rounding."""
    pairs = zip(tf.nest.flatten(exact), tf.nest.flatten(again), strict=True)
    return all(
        np.shape(a) == np.shape(b) and np.allclose(a, b, rtol=1e-9, atol=0, equal_nan=True)
        for a, b in pairs
    )


def _computed(source: Source, name: str, case: Case, measured: _Measured) -> Arrays | None:
    """A case's arrays by `group/NAME`; None for an edge that the original itself refuses.

    An index past an embedding's table has no reference, so it is no test of a runtime. Of a sweep,
    that leaves the points below it.
    """
    try:
        return _compute(source, name, case, case.inputs, measured)
    except tf.errors.InvalidArgumentError:
        if case.regime != "edge" and not case.optional:
            raise
    accepted = _accepted(source, name, case) if case.swept else None
    return _compute(source, name, case, accepted, measured) if accepted else None


def _compute(source: Source, name: str, case: Case, inputs: Arrays, measured: _Measured) -> Arrays:
    reference = source.call(name, inputs)
    deviations = measured(case, inputs)
    groups = {
        "inputs": inputs,
        "reference": reference,
        "oracle": _floats(deviations.exact),
        "rounding": _bounds(deviations.correct, reference, deviations.exact),
        "shader": _bounds(deviations.shader, reference, deviations.exact)
        if deviations.shader is not None
        else {},
    }
    return {f"{group}/{key}": a for group, found in groups.items() for key, a in found.items()}


def _floats(outputs: Any) -> Arrays:
    """Those outputs for which an oracle means something: integers must be exact without one."""
    arrays = {name: np.asarray(array) for name, array in named(outputs).items()}
    return {name: array for name, array in arrays.items() if array.dtype == np.float64}


def _bounds(deviations: Any, reference: Arrays, exact: Any) -> Arrays:
    """Deviations of the float outputs, as they are kept."""
    found = named(deviations)
    return {name: narrowed(found[name], reference[name].dtype) for name in _floats(exact)}


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
