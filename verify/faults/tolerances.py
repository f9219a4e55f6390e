"""The tolerances that people use instead, on the same numbers."""

from collections.abc import Callable

import numpy as np

Array = np.ndarray
Tolerance = Callable[[Array, Array], bool]


def _within(rtol: float, atol: float) -> Tolerance:
    def close(got: Array, reference: Array) -> bool:
        return bool(np.allclose(got, reference, rtol=rtol, atol=atol, equal_nan=True))

    return close


def _cosine(got: Array, reference: Array) -> bool:
    """Cosine above 0.99 of what is finite, which is how it is used."""
    finite = np.isfinite(got) & np.isfinite(reference)
    a, b = got[finite].astype(np.float64).ravel(), reference[finite].astype(np.float64).ravel()
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    return bool(a @ b > 0.99 * lengths) if lengths else bool(np.array_equal(a, b))


TOLERANCES: dict[str, Tolerance] = {
    "numpy.allclose": _within(1e-5, 1e-8),
    "atol 1e-5": _within(0, 1e-5),
    "atol 1e-4": _within(0, 1e-4),
    "atol 1e-3": _within(0, 1e-3),
    "cosine > 0.99": _cosine,
}


def flags(got: Array | None, reference: Array) -> frozenset[str]:
    """The tolerances that do not let this pass. None takes another shape, or no output at all."""
    if got is None or got.shape != reference.shape:
        return frozenset(TOLERANCES)
    with np.errstate(over="ignore", invalid="ignore"):
        return frozenset(name for name, passes in TOLERANCES.items() if not passes(got, reference))
