"""Which cases a runtime is asked for, and how many of their rows: by counting, so always equal."""

from dataclasses import dataclass, field

import numpy as np

from portproof.bundle.manifest import Vector, is_training
from portproof.bundle.tensors import Arrays, in_group
from portproof.verifying.trial import Trial

# Floating-point operations that a case may take in a runtime as fast as XNNPACK, which does 10^10
# of them in a second or less. A runtime that is n times slower is asked for n times fewer rows.
CASE_OPERATIONS = 3e10
MIN_ROWS = 2


@dataclass
class Rows:
    """Which rows of the cases that decide are asked for in one trial.

    A runtime in which a row takes long gets fewer rows, spread over all of them and at least two of
    the model's own data, and batches of one row, twice; a larger batch that is cut to as many rows
    as an earlier case is left out. Nothing is cut of a training step, of labelled rows, whose share
    counts, and where rows depend on each other, whose numbers would be others.

    Attributes:
        trial: The trial.
        left_out: In words, what was not asked for.
    """

    trial: Trial
    left_out: list[str] = field(default_factory=list)
    _known: set[tuple[tuple[int, ...], ...]] = field(default_factory=set)

    def of(self, vector: Vector) -> Arrays | None:
        """The arrays of a case, cut; None where it is left out."""
        arrays = self.trial.bundle.read(vector)
        limit, rows = row_limit(self.trial), rows_of(arrays)
        labelled = any(name.startswith("labels/") for name in arrays)
        if limit is not None and rows > limit and not labelled:
            chosen = np.linspace(0, rows - 1, limit).astype(int)
            arrays = {name: array[chosen] for name, array in arrays.items()}
            if _shapes(arrays) in self._known and vector.regime == "batch":
                self.left_out.append(f"{vector.case} ({rows} rows)")
                return None
            self.left_out.append(f"{vector.case}: {rows - limit} of {rows} rows")
        self._known.add(_shapes(arrays))
        return arrays


def row_limit(trial: Trial) -> int | None:
    """How many rows a case may have; None: all of them."""
    name = trial.signature_name
    operations = trial.bundle.manifest.operations.get(name)
    if operations is None or not trial.signature.batched or trial.rows_depend or is_training(name):
        return None
    return max(MIN_ROWS, int(CASE_OPERATIONS / max(operations * trial.runtime.slowness, 1.0)))


def rows_of(arrays: Arrays) -> int:
    """The rows of a case's arrays, or 1 where a scalar has none."""
    first = next(iter(in_group(arrays, "inputs").values()))
    return len(first) if first.ndim else 1


def _shapes(arrays: Arrays) -> tuple[tuple[int, ...], ...]:
    return tuple(array.shape for array in in_group(arrays, "inputs").values())
