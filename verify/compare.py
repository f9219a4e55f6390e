"""Two arrays that should be the same numbers -> metrics. NumPy alone; decides nothing."""

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Metrics:
    """How far `got` is from `reference`, and both from the float64 oracle.

    Errors are the largest over all elements that are finite on both sides; `misplaced` says where
    NaN or an infinity is on one side alone, which no error can express.
    """

    samples: int
    bit_equal: bool
    max_abs: float
    max_ulp: int
    misplaced: str = ""
    error: float | None = None
    reference_error: float | None = None
    oracle_ulp: float | None = None

    @property
    def error_ratio(self) -> float | None:
        """This error against the oracle over the reference's own. None where that one is zero."""
        if self.error is None or not self.reference_error:
            return None
        return self.error / self.reference_error


def compare(got: Array, reference: Array, oracle: Array | None = None) -> Metrics:
    """Compare arrays of one shape and dtype; `oracle` is float64 of that shape, for floats alone.

    Raises ValueError where shapes or dtypes differ: that is the caller's to judge.
    """
    if got.shape != reference.shape or got.dtype != reference.dtype:
        raise ValueError(f"cannot compare {describe(got)} with {describe(reference)}")
    # Rows; none where they are empty, for an output without elements proves nothing.
    samples = 0 if not reference.size else len(reference) if reference.ndim else 1
    bit_equal = (
        np.require(got, requirements="C").tobytes()
        == np.require(reference, requirements="C").tobytes()
    )
    if not is_float(reference):
        return Metrics(samples, bit_equal, *_integer_distance(got, reference))
    finite = np.isfinite(got) & np.isfinite(reference)
    own, theirs = got[finite], reference[finite]
    metrics = Metrics(
        samples,
        bit_equal,
        max_abs=_largest(own.astype(np.float64) - theirs.astype(np.float64)),
        max_ulp=int(ulp_distance(own, theirs).max(initial=0)),
        misplaced=_misplaced(got, reference),
    )
    return metrics if oracle is None else _against(metrics, oracle, got, reference)


def _against(metrics: Metrics, oracle: Array, got: Array, reference: Array) -> Metrics:
    """Add the errors against the oracle, where all three are finite.

    Where the oracle alone is not, nothing says how far off is too far: there only the reference's
    own value will do.
    `oracle_ulp` is one unit in the last place, in the reference's dtype, of the largest magnitude
    that the oracle has there.
    """
    if oracle.shape != reference.shape or oracle.dtype != np.float64:
        raise ValueError(f"the oracle is {describe(oracle)}, for a reference {describe(reference)}")
    finite = np.isfinite(got) & np.isfinite(reference)
    judged = np.isfinite(oracle) & finite
    blind = finite & ~judged & (got != reference)
    exact = oracle[judged]
    # Beyond the dtype's range the reference is infinite, so what is left here fits it.
    scale = np.abs(exact).max(initial=0.0).astype(reference.dtype)
    scale = min(scale, _greatest(reference.dtype))  # what rounds up to infinity
    return Metrics(
        metrics.samples,
        metrics.bit_equal,
        metrics.max_abs,
        metrics.max_ulp,
        metrics.misplaced or _first(blind, got, reference),
        error=_largest(got[judged].astype(np.float64) - exact),
        reference_error=_largest(reference[judged].astype(np.float64) - exact),
        oracle_ulp=_unit(scale),
    )


def _unit(value: Any) -> float:
    """One unit in the last place of a finite value. NumPy's own overflows at the largest."""
    at_the_end = value == _greatest(value.dtype)
    return float(value - np.nextafter(value, value * 0) if at_the_end else np.spacing(value))


def _greatest(dtype: np.dtype[Any]) -> Any:
    """The largest finite value of a float dtype, bfloat16 among them."""
    return ml_dtypes.finfo(dtype).max  # type: ignore[no-untyped-call]


def is_float(array: Array) -> bool:
    """Whether the dtype is a float. NumPy calls bfloat16 a void kind."""
    return array.dtype.kind in "fV"


def describe(array: Array) -> str:
    """`float32[7, 1]`."""
    return f"{array.dtype}{list(array.shape)}"


def ulp_distance(a: Array, b: Array) -> Array:
    """How many representable values lie from `a` to `b`, as uint64; the zeros are one value.

    Finite floats of one dtype. Their bits, read as sign and magnitude, count the representable
    values from zero (Bruce Dawson, "Comparing Floating Point Numbers, 2012 Edition").
    """
    width = a.dtype.itemsize * 8
    unsigned = np.dtype(f"u{a.dtype.itemsize}")
    sign = np.uint64(1 << (width - 1))

    def split(values: Array) -> tuple[Array, Array]:
        bits = values.view(unsigned).astype(np.uint64)
        return (bits & sign) != 0, bits & ~sign

    (a_negative, a_size), (b_negative, b_size) = split(a), split(b)
    apart = np.maximum(a_size, b_size) - np.minimum(a_size, b_size)
    return np.where(a_negative == b_negative, apart, a_size + b_size)


def _integer_distance(got: Array, reference: Array) -> tuple[float, int]:
    """Largest difference, as a float and exactly. uint64 holds that of any two 64-bit integers."""
    if got.dtype == np.bool_:
        return float((got != reference).any()), int((got != reference).any())
    high, low = np.maximum(got, reference), np.minimum(got, reference)
    apart = high.astype(np.uint64) - low.astype(np.uint64)  # modulo 2^64, which is what we want
    most = int(apart.max(initial=0))
    return float(most), most


def _largest(differences: Array) -> float:
    return float(np.abs(differences).max(initial=0.0))


def _misplaced(got: Array, reference: Array) -> str:
    """The first element that is NaN or infinite in another way than the reference's."""
    same = np.where(np.isnan(reference), np.isnan(got), got == reference)
    return _first(~(same | (np.isfinite(got) & np.isfinite(reference))), got, reference)


def _first(wrong: Array, got: Array, reference: Array) -> str:
    """The first element of a mask, in words."""
    if not wrong.any():
        return ""
    at = tuple(int(i) for i in np.argwhere(wrong)[0])
    place = f" at {list(at)}" if at else ""
    return f"{got[at]} where the reference has {reference[at]}{place}"
