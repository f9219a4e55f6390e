"""The spacing of the values that a float dtype can hold."""

from typing import Any

import ml_dtypes
import numpy as np

Array = np.ndarray[Any, Any]


def is_float(dtype: np.dtype[Any]) -> bool:
    """NumPy calls bfloat16 a void kind."""
    return dtype.kind in "fV"


def smallest_normal(dtype: np.dtype[Any]) -> float:
    """The smallest positive value of a float dtype that is no denormal."""
    return float(_info(dtype).smallest_normal)


def spacing(values: Array, dtype: np.dtype[Any]) -> Array:
    """One unit in the last place of `dtype` at each finite float64 value, as float64.

    2^(e - p) for a value in [2^(e-1), 2^e) and p bits of precision; constant below the smallest
    normal (IEEE 754-2019, section 3.3).
    """
    info = _info(dtype)
    _, exponent = np.frexp(values)
    # `minexp` is the exponent of the smallest normal, whose frexp has one more.
    units: Array = np.ldexp(1.0, np.maximum(exponent, info.minexp + 1) - (info.nmant + 1))
    return units


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


def _info(dtype: np.dtype[Any]) -> Any:
    return ml_dtypes.finfo(dtype)  # type: ignore[no-untyped-call]


def as_stored(deviation: Any, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """How far rounding may carry each element, in the dtype in which a bundle stores it.

    That is float32, which is precise enough for a bound; for a float64 output it is float64, whose
    range float32 does not have. What is infinite or too large becomes the largest finite number.
    """
    stored = np.float64 if dtype == np.float64 else np.float32
    limited: np.ndarray[Any, Any] = np.minimum(np.asarray(deviation), np.finfo(stored).max)
    return limited.astype(stored)
