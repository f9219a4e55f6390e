"""How far each element of an output may be off, for a comparison without Python.

What `judging.decide` says of a float output that is no variant's, as arrays and one number: whoever
subtracts comes to the same verdict.
"""

from dataclasses import dataclass

import numpy as np

from portproof.bundle.float_format import Array, smallest_normal, spacing
from portproof.comparing.arrays import Expected, compare
from portproof.comparing.judging import largest_ratio, mean_limit


@dataclass(frozen=True)
class Allowed:
    """The limits of one output of one case.

    Attributes:
        oracle: What the errors are counted from, in float64, of the output's shape. Where that is
            no number, it is the reference.
        rounding: How far from it each element may be by rounding, of the same shape.
        shader: The same by what shaders promise; None where they promise nothing less.
        mean: How large the mean of error over `rounding` may be. The chance that one of very many
            is beyond `rounding` is in `rounding`, and taken out again here.
        normal: Below this a reference is a denormal: a zero in its place counts as no error.
    """

    oracle: Array
    rounding: Array
    shader: Array | None
    mean: float
    normal: float


def allowed(expected: Expected) -> Allowed:
    """The limits of an output with an oracle and bounds. Raises ValueError where it has none."""
    if expected.oracle is None or expected.rounding is None:
        raise ValueError("the bundle has no oracle for this output")
    metrics = compare(expected.reference, expected)
    reference = expected.reference.astype(np.float64)
    judged = np.isfinite(expected.oracle) & np.isfinite(reference)
    oracle = np.where(judged, expected.oracle, reference)
    finite = np.where(np.isfinite(oracle), oracle, 0.0)
    unit = spacing(finite, expected.reference.dtype)
    with np.errstate(invalid="ignore"):
        own = np.where(judged, np.abs(reference - oracle), 0.0)
    factor = largest_ratio(metrics.finite)

    def limit(bound: Array) -> Array:
        return np.where(judged, factor * (own + np.maximum(bound, unit)), 0.0)

    shader = None if expected.shader is None else limit(expected.shader)
    normal = smallest_normal(expected.reference.dtype)
    return Allowed(oracle, limit(expected.rounding), shader, mean_limit(metrics) / factor, normal)
