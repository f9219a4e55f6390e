"""Whether a signature's test vectors can prove anything: no proof is better than they are.

Who made a bundle wrote its test vectors and its bounds too, by mistake or on purpose of any kind.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from portproof.bundle.float_format import Array, is_float, spacing
from portproof.bundle.manifest import DECIDING, Vector
from portproof.bundle.signature import Signature
from portproof.bundle.tensors import Arrays, in_group
from portproof.bundle.verdicts import ILL_CONDITIONED
from portproof.comparing.arrays import describe
from portproof.comparing.judging import PROVES_NOTHING
from portproof.comparing.metrics import NEGLIGIBLE

# What test vectors are held to, as the statement of a release has it.
CHECKS = (
    "arrays of the signature's names, dtypes and shapes",
    "batches of different sizes, where rows are possible",
    "inputs and outputs that differ, and finite numbers in each output",
    "a reference near the same graph in float64, with bounds smaller than itself",
)
_ONE_NUMBER = {
    "inputs": "all inputs are one number: give the model's own data (export --inputs)",
    "reference": "all outputs are one number: give data, or trained weights, that change them",
}


def shortcoming(signature: Signature, cases: Iterable[tuple[Vector, Arrays]]) -> str:
    """Why these test vectors prove nothing, in a line, or nothing.

    Args:
        signature: The signature that they are of.
        cases: Its cases that decide, with the arrays of each: `inputs/NAME`, `reference/NAME`,
            `oracle/NAME`, `rounding/NAME` and others. One is held at a time.
    """
    together = _Together(signature)
    for vector, arrays in cases:
        for of_case in (_of_shapes, _of_companions, _of_references):
            for reason in of_case(signature, arrays):
                return f"{vector.case}: {reason}"
        together.add(vector, arrays)
    return next(together.shortcomings(), "")


def _of_shapes(signature: Signature, arrays: Arrays) -> Iterator[str]:
    """A case has what the signature says."""
    for group, specs in (("inputs", signature.inputs), ("reference", signature.outputs)):
        present = in_group(arrays, group)
        if set(present) != set(specs):
            yield f"it has other {group} than the signature"
        for name, spec in specs.items():
            if name in present and not spec.accepts(present[name]):
                yield f"{group}/{name} is {describe(present[name])}, not {spec}"


def _of_companions(signature: Signature, arrays: Arrays) -> Iterator[str]:
    """Oracle and bounds have the reference's shape, and bounds are sizes."""
    for group in ("oracle", "rounding", "shader"):
        for name, array in in_group(arrays, group).items():
            is_output = name in signature.outputs
            if not is_output or array.shape != arrays[f"reference/{name}"].shape:
                yield f"{group}/{name} has no reference of its shape"
            if group != "oracle" and not (array >= 0).all():
                yield f"{group}/{name} has bounds that are no sizes"


def _of_references(signature: Signature, arrays: Arrays) -> Iterator[str]:
    """The original's own numbers are near those of its graph in float64.

    They may be farther off than their bounds: kernels differ in how well they compute. But of 470
    models no output was by as much as `ILL_CONDITIONED` of its size.
    """
    for name in signature.outputs:
        reference, oracle = arrays[f"reference/{name}"], arrays.get(f"oracle/{name}")
        rounding = arrays.get(f"rounding/{name}")
        if oracle is None or rounding is None or not is_float(reference.dtype):
            continue
        judged = np.isfinite(oracle) & np.isfinite(reference)
        error = np.abs(reference.astype(np.float64) - oracle)[judged]
        allowed = np.maximum(rounding, spacing(oracle, reference.dtype))[judged]
        size = max(_size(oracle[judged]), NEGLIGIBLE * size_of_inputs(arrays))
        if not error.size or not size or _size(error) <= ILL_CONDITIONED * size:
            continue
        if _size(error) > _size(allowed):
            yield f"the reference of {name} is beyond its own bounds"
        if _size(allowed) >= PROVES_NOTHING * size:
            yield f"the bounds of {name} are larger than the output"


class _Range:
    """The least and the largest finite number among arrays, and the size of the largest array."""

    def __init__(self) -> None:
        self.low, self.high, self.elements = np.inf, -np.inf, 0

    def add(self, array: Array) -> None:
        finite = array[np.isfinite(array)]
        self.elements = max(self.elements, array.size)
        if finite.size:
            self.low = min(self.low, float(finite.min()))
            self.high = max(self.high, float(finite.max()))

    @property
    def is_one_number(self) -> bool:
        """Whether there are no two numbers. A model of one number gives one number."""
        return self.elements > 1 and not self.low < self.high

    @property
    def is_nowhere_finite(self) -> bool:
        return self.elements > 0 and self.low > self.high


class _Together:
    """What all cases of a signature are together."""

    def __init__(self, signature: Signature) -> None:
        self._signature = signature
        self._regimes: set[str] = set()
        self._digests: set[str] = set()
        self._rows: set[int] = set()
        self._groups = {"inputs": _Range(), "reference": _Range()}
        self._outputs = {name: _Range() for name in signature.outputs}

    def add(self, vector: Vector, arrays: Arrays) -> None:
        self._regimes.add(vector.regime)
        self._digests.add(vector.file.sha256)
        for group, of_group in self._groups.items():
            for array in in_group(arrays, group).values():
                of_group.add(array)
        for name, of_output in self._outputs.items():
            of_output.add(arrays[f"reference/{name}"])
        if self._signature.batched:
            self._rows |= {len(array) for array in in_group(arrays, "inputs").values()}

    def shortcomings(self) -> Iterator[str]:
        if not self._regimes.issuperset(DECIDING):
            yield f"there are test vectors for {' and '.join(DECIDING)}, or nothing is proven"
        if self._signature.batched and max(self._rows) < 2:
            yield "no case has two rows"
        if self._signature.batched and len(self._digests) < 2:
            yield "all cases are one file"
        for group, of_group in self._groups.items():
            if of_group.is_one_number:
                yield _ONE_NUMBER[group]
        for name, of_output in self._outputs.items():
            if of_output.is_nowhere_finite:
                yield f"the output {name} is nowhere finite"


def _size(values: Array) -> float:
    """The root mean square of some numbers; of none 0."""
    with np.errstate(over="ignore"):
        return float(np.sqrt(np.mean(values.astype(np.float64) ** 2))) if values.size else 0.0


def size_of_inputs(arrays: Arrays) -> float:
    """The root mean square of the finite float inputs of a case; 1 without any."""
    inputs = [array for array in in_group(arrays, "inputs").values() if is_float(array.dtype)]
    values = np.concatenate([a[np.isfinite(a)].astype(np.float64) for a in inputs] or [np.ones(1)])
    return _size(values) if values.size else 1.0
