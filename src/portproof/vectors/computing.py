"""A case's arrays: what the original gives, what the oracle gives, and the bounds."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf

from portproof.bundle.errors import ExportError
from portproof.bundle.float_format import as_stored
from portproof.bundle.signature import Signature
from portproof.bundle.tensors import Arrays
from portproof.bundle.verdicts import PASSING
from portproof.comparing.judging import expected_of, judge
from portproof.oracle.oracle import Deviations, Oracle
from portproof.sources.functions import call, concrete_of, named, signature_of
from portproof.sources.keras_backends import Original, OriginalError
from portproof.vectors.cases import Case
from portproof.vectors.edge_bounds import edge_bound, scaled

# What says that the original takes no such inputs.
_REFUSALS = (tf.errors.InvalidArgumentError, OriginalError)
# Rows of the model's own data that are computed alone, to see whether they depend on each other.
MAX_ROWS_ALONE = 32


@dataclass(frozen=True)
class TestedFunction:
    """A flat `tf.function` that gets test vectors: a signature's, or a training step.

    Attributes:
        name: The signature's name.
        function: The function, with one graph.
        examples: An array for each input.
        labels: By output, the right class of each row of the examples.
        training: Whether it is a training step, whose cases are batches that people train with.
        original: What gives the references in the place of the function.
    """

    __test__ = False  # pytest would take it for a test

    name: str
    function: Any
    examples: Mapping[str, np.ndarray[Any, Any]]
    labels: Mapping[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    training: bool = False
    original: Original | None = None

    @property
    def concrete(self) -> Any:
        return concrete_of(self.function)

    @cached_property
    def signature(self) -> Signature:
        return signature_of(self.name, self.concrete)

    def __call__(self, inputs: Mapping[str, np.ndarray[Any, Any]]) -> Arrays:
        return call(self.function, inputs)


class CaseComputer:
    """Computes the arrays of one function's cases, by `group/NAME`."""

    def __init__(self, function: TestedFunction) -> None:
        self._function = function
        self.oracle = Oracle(function.concrete)
        self._typical: Deviations | None = None

    def __call__(self, case: Case) -> Arrays | None:
        """A case's arrays; None for an edge that the original itself refuses.

        An index beyond an embedding's table has no reference, so it is no test of a runtime. Of a
        sweep, the points below it are left.
        """
        try:
            return self._arrays(case, case.inputs)
        except _REFUSALS:
            if case.regime != "edge" and not case.optional:
                raise
        accepted = self._accepted_points(case) if case.swept else None
        return self._arrays(case, accepted) if accepted else None

    def rows_depend(self, inputs: Arrays) -> bool:
        """Whether what a row gives depends on the rows beside it: some are computed alone, too.

        Such a model cannot be run a row at a time. An output without rows depends on all.
        """
        exact = self.oracle(inputs)
        rows = len(next(iter(inputs.values())))
        if any(np.shape(array)[:1] != (rows,) for array in tf.nest.flatten(exact)):
            return True
        for row in np.unique(np.linspace(0, rows - 1, min(rows, MAX_ROWS_ALONE)).astype(int)):
            alone = np.array([row])
            expected = tf.nest.map_structure(lambda array, a=alone: array[a], exact)
            if not _alike(self.oracle(_select(inputs, alone)), expected):
                return True
        return False

    def _arrays(self, case: Case, inputs: Arrays) -> Arrays:
        of_graph, reference = self._outputs(inputs)
        groups = {"inputs": inputs, "reference": reference}
        if case.regime == "edge":
            groups |= self._edge_groups(inputs, reference)
        else:
            groups |= self._derived_groups(case, inputs, reference)
        if self._function.original and case.regime != "edge":
            expected = _flat({**groups, "reference": of_graph})
            self._check_original(case, self._function.original, expected, reference)
        if case.regime == "typical" and self._function.labels:
            groups["labels"] = {
                output: array[case.rows].astype(np.int64)
                for output, array in self._function.labels.items()
            }
        return _flat(groups)

    def _outputs(self, inputs: Arrays) -> tuple[Arrays, Arrays]:
        """What the graph gives, which refuses what TensorFlow refuses, and what the original."""
        of_graph, original = self._function(inputs), self._function.original
        return of_graph, original.outputs(inputs, of_graph) if original else of_graph

    def _check_original(
        self, case: Case, original: Original, expected: Arrays, outputs: Arrays
    ) -> None:
        """Raise ExportError where an original computes something else than its graph.

        The limits of what is verified are counted from the oracle, and as wide as the original's
        own error: of another function than the graph's they would be wide enough for anything.
        """
        for name, spec in self._function.signature.outputs.items():
            verdict, reason, _ = judge(outputs[name], spec, expected_of(expected, name))
            if verdict not in PASSING:
                raise ExportError(
                    f"{original.model.name}: {name} is something else on {original.backend} than "
                    f"on TensorFlow, whose graph is exported (in the case {case.name}: {reason}). "
                    "One of its layers is another one there, or it multiplies with less precision "
                    "than float32 has, as a GPU does unless it is told otherwise. Mend that, or "
                    "export with KERAS_BACKEND=tensorflow what TensorFlow computes."
                )

    def _derived_groups(self, case: Case, inputs: Arrays, reference: Arrays) -> dict[str, Arrays]:
        deviations = self._deviations(case, inputs)
        exact = _float_outputs(deviations.exact)
        groups = {"oracle": exact, "rounding": _bounds(deviations.correct, reference, exact)}
        if deviations.shader is not None:
            groups["shader"] = _bounds(deviations.shader, reference, exact)
        return groups

    def _edge_groups(self, inputs: Arrays, reference: Arrays) -> dict[str, Arrays]:
        exact = _float_outputs(self.oracle(inputs))
        by_row = self._function.signature.batched
        bounds = {n: edge_bound(reference[n], array, by_row=by_row) for n, array in exact.items()}
        groups = {"oracle": exact, "rounding": bounds}
        if self._typical and self._typical.shader is not None:
            correct, shader = named(self._typical.correct), named(self._typical.shader)
            groups["shader"] = {
                name: scaled(bound, correct[name], shader[name]) for name, bound in bounds.items()
            }
        return groups

    def _deviations(self, case: Case, inputs: Arrays) -> Deviations:
        """The oracle's deviations, taken from the typical case where they are the same.

        A batch consists of rows of the model's own data. Where the oracle gives each row what it
        gave it there, rows do not depend on each other, and neither does their rounding.
        """
        if case.rows is not None and self._typical is not None and case.regime != "typical":
            exact = self.oracle(inputs)
            again = _rows_of(self._typical, case.rows)
            if again is not None and _alike(exact, again.exact):
                return replace(again, exact=exact)
        deviations = self.oracle.deviations(inputs)
        if case.regime == "typical":
            self._typical = deviations
        return deviations

    def _accepted_points(self, case: Case) -> Arrays | None:
        """As many of a sweep's points, from the smallest on, as the original accepts.

        Where it accepts no negative ones, as an embedding does, only the others.
        """
        assert case.swept
        points = case.inputs[case.swept]
        not_negative = (points >= 0).reshape(len(points), -1).all(axis=1)
        for keep in (np.ones(len(points), bool), not_negative):
            rows = np.flatnonzero(keep)
            few, many = 0, len(rows)
            while few < many:
                middle = (few + many + 1) // 2
                if self._accepts(_select(case.inputs, rows[:middle])):
                    few = middle
                else:
                    many = middle - 1
            if few > 1:
                return _select(case.inputs, rows[:few])
        return None

    def _accepts(self, inputs: Arrays) -> bool:
        try:
            self._outputs(inputs)
        except _REFUSALS:
            return False
        return True


def _flat(groups: Mapping[str, Arrays]) -> Arrays:
    """Arrays by `group/NAME`."""
    return {f"{group}/{key}": a for group, arrays in groups.items() for key, a in arrays.items()}


def _rows_of(deviations: Deviations, rows: Any) -> Deviations | None:
    """The same for these rows; None where an output has no rows."""
    outputs = tf.nest.flatten(deviations.exact)
    if any(np.ndim(array) == 0 or len(array) <= rows.max(initial=0) for array in outputs):
        return None

    def selected(arrays: Any) -> Any:
        return None if arrays is None else tf.nest.map_structure(lambda a: a[rows], arrays)

    return Deviations(
        selected(deviations.exact), selected(deviations.correct), selected(deviations.shader)
    )


def _alike(exact: Any, again: Any) -> bool:
    """Whether both are the same, up to float64's own rounding."""
    pairs = zip(tf.nest.flatten(exact), tf.nest.flatten(again), strict=True)
    return all(
        np.shape(a) == np.shape(b) and np.allclose(a, b, rtol=1e-9, atol=0, equal_nan=True)
        for a, b in pairs
    )


def _float_outputs(outputs: Any) -> Arrays:
    """The outputs for which an oracle means something: integers must be exact without one."""
    arrays = {name: np.asarray(array) for name, array in named(outputs).items()}
    return {name: array for name, array in arrays.items() if array.dtype == np.float64}


def _bounds(deviations: Any, reference: Arrays, exact: Arrays) -> Arrays:
    """Deviations of the float outputs, as they are stored."""
    by_name = named(deviations)
    return {name: as_stored(by_name[name], reference[name].dtype) for name in exact}


def _select(inputs: Mapping[str, np.ndarray[Any, Any]], rows: Any) -> Arrays:
    return {name: array[rows] for name, array in inputs.items()}
