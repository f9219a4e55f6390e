"""Whether a signature's test vectors can prove anything: no proof is better than they are.

Who made a bundle wrote its test vectors and its bounds too, by mistake or on purpose of any kind.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from portproof.bundle.float_format import Array, is_float, spacing
from portproof.bundle.manifest import DECIDING, Vector
from portproof.bundle.signature import Signature, TensorSpec
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
# A case of a signature, and its arrays.
Cases = Sequence[tuple[Vector, Arrays]]


def shortcoming(signature: Signature, cases: Cases) -> str:
    """Why these test vectors prove nothing, in a line, or nothing.

    Args:
        signature: The signature that they are of.
        cases: Its cases that decide, with the arrays of each: `inputs/NAME`, `reference/NAME`,
            `oracle/NAME`, `rounding/NAME` and others.
    """
    for of_kind in (_of_shapes, _of_rows, _of_values, _of_references):
        for reason in of_kind(signature, cases):
            return reason
    return ""


def _of_shapes(signature: Signature, cases: Cases) -> Iterator[str]:
    """Each case has what the signature says."""
    if not {vector.regime for vector, _ in cases}.issuperset(DECIDING):
        yield f"there are test vectors for {' and '.join(DECIDING)}, or nothing is proven"
    for vector, arrays in cases:
        for group, specs in (("inputs", signature.inputs), ("reference", signature.outputs)):
            found = in_group(arrays, group)
            if set(found) != set(specs):
                yield f"{vector.case} has other {group} than the signature"
            for name, spec in specs.items():
                if name in found and not spec.accepts(found[name]):
                    yield f"{vector.case}: {group}/{name} is {describe(found[name])}, not {spec}"
        yield from _of_companions(vector, arrays, signature.outputs)


def _of_companions(vector: Vector, arrays: Arrays, specs: dict[str, TensorSpec]) -> Iterator[str]:
    """Oracle and bounds have the reference's shape, and bounds are sizes."""
    for group in ("oracle", "rounding", "shader"):
        for name, array in in_group(arrays, group).items():
            if name not in specs or array.shape != arrays[f"reference/{name}"].shape:
                yield f"{vector.case}: {group}/{name} has no reference of its shape"
            if group != "oracle" and not (array >= 0).all():
                yield f"{vector.case}: {group}/{name} has bounds that are no sizes"


def _of_rows(signature: Signature, cases: Cases) -> Iterator[str]:
    """Where rows are possible there are batches of different sizes, one with several rows."""
    if not signature.batched:
        return
    sizes = {len(array) for _, arrays in cases for array in in_group(arrays, "inputs").values()}
    if max(sizes) < 2:
        yield "no case has two rows"
    if len({vector.file.sha256 for vector, _ in cases}) < 2:
        yield "all cases are one file"


def _of_values(signature: Signature, cases: Cases) -> Iterator[str]:
    """Inputs are not all one number, nor are outputs, and each output has finite numbers."""
    for group in ("inputs", "reference"):
        arrays = [array for _, all_ in cases for array in in_group(all_, group).values()]
        # A model of one number gives one number.
        if max((array.size for array in arrays), default=0) > 1 and not _differ(arrays):
            yield _ONE_NUMBER[group]
    for name in signature.outputs:
        values = [arrays[f"reference/{name}"] for _, arrays in cases]
        if any(v.size for v in values) and not any(np.isfinite(v).any() for v in values):
            yield f"the output {name} is nowhere finite"


def _differ(arrays: Sequence[Array]) -> bool:
    """Whether there are two finite numbers among some arrays."""
    low, high = np.inf, -np.inf
    for array in arrays:
        finite = array[np.isfinite(array)]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    return low < high


def _of_references(signature: Signature, cases: Cases) -> Iterator[str]:
    """The original's own numbers are near those of its graph in float64.

    They may be farther off than their bounds: kernels differ in how well they compute. But of 470
    models no output was by as much as `ILL_CONDITIONED` of its size.
    """
    for vector, arrays in cases:
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
                yield f"{vector.case}: the reference of {name} is beyond its own bounds"
            if _size(allowed) >= PROVES_NOTHING * size:
                yield f"{vector.case}: the bounds of {name} are larger than the output"


def _size(values: Array) -> float:
    """The root mean square of some numbers; of none 0."""
    with np.errstate(over="ignore"):
        return float(np.sqrt(np.mean(values.astype(np.float64) ** 2))) if values.size else 0.0


def size_of_inputs(arrays: Arrays) -> float:
    """The root mean square of the finite float inputs of a case; 1 without any."""
    inputs = [array for array in in_group(arrays, "inputs").values() if is_float(array.dtype)]
    values = np.concatenate([a[np.isfinite(a)].astype(np.float64) for a in inputs] or [np.ones(1)])
    return _size(values) if values.size else 1.0
