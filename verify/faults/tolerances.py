"""Common tolerances, applied to the same numbers, to compare Portproof with."""

from collections.abc import Callable

import numpy as np

Array = np.ndarray
Tolerance = Callable[[Array, Array], bool]


def _within(rtol: float, atol: float) -> Tolerance:
    def accepts(output: Array, reference: Array) -> bool:
        return bool(np.allclose(output, reference, rtol=rtol, atol=atol, equal_nan=True))

    return accepts


def _cosine(output: Array, reference: Array) -> bool:
    """Whether the cosine similarity of the finite elements is above 0.99, the common use of it."""
    finite = np.isfinite(output) & np.isfinite(reference)
    a, b = output[finite].astype(np.float64).ravel(), reference[finite].astype(np.float64).ravel()
    norm_product = float(np.linalg.norm(a) * np.linalg.norm(b))
    return bool(a @ b > 0.99 * norm_product) if norm_product else bool(np.array_equal(a, b))


TOLERANCES: dict[str, Tolerance] = {
    "numpy.allclose": _within(1e-5, 1e-8),
    "atol 1e-5": _within(0, 1e-5),
    "atol 1e-4": _within(0, 1e-4),
    "atol 1e-3": _within(0, 1e-3),
    "cosine > 0.99": _cosine,
}


def rejecting_tolerances(output: Array | None, reference: Array) -> frozenset[str]:
    """The names of the tolerances that reject an output.

    All of them reject a missing output and an output of another shape.
    """
    if output is None or output.shape != reference.shape:
        return frozenset(TOLERANCES)
    with np.errstate(over="ignore", invalid="ignore"):
        return frozenset(
            name for name, accepts in TOLERANCES.items() if not accepts(output, reference)
        )
