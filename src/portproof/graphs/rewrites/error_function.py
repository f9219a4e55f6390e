"""The error function and its complement in arithmetic and `exp`.

W. J. Cody, "Rational Chebyshev approximations for the error function", Mathematics of Computation
23 (1969), 631-637. The coefficients (as in his CALERF, Netlib specfun) are good for 18 digits, so
only float32's own rounding is left. exp(-x^2) is computed in two factors, as he does, because
rounding x^2 would cost x^2 units in the last place.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from portproof.graphs.splicing import Tensor

# Numerator and denominator, highest powers first.
_SMALL = (
    (
        1.85777706184603153e-1,
        3.16112374387056560,
        1.13864154151050156e2,
        3.77485237685302021e2,
        3.20937758913846947e3,
    ),
    (
        1.0,
        2.36012909523441209e1,
        2.44024637934444173e2,
        1.28261652607737228e3,
        2.84423683343917062e3,
    ),
)
_MIDDLE = (
    (
        2.15311535474403846e-8,
        5.64188496988670089e-1,
        8.88314979438837594,
        6.61191906371416295e1,
        2.98635138197400131e2,
        8.81952221241769090e2,
        1.71204761263407058e3,
        2.05107837782607147e3,
        1.23033935479799725e3,
    ),
    (
        1.0,
        1.57449261107098347e1,
        1.17693950891312499e2,
        5.37181101862009858e2,
        1.62138957456669019e3,
        3.29079923573345963e3,
        4.36261909014324716e3,
        3.43936767414372164e3,
        1.23033935480374942e3,
    ),
)
_LARGE = (
    (
        1.63153871373020978e-2,
        3.05326634961232344e-1,
        3.60344899949804439e-1,
        1.25781726111229246e-1,
        1.60837851487422766e-2,
        6.58749161529837803e-4,
    ),
    (
        1.0,
        2.56852019228982242,
        1.87295284992346725,
        5.27905102951428412e-1,
        6.05183413124413191e-2,
        2.33520497626869185e-3,
    ),
)
_INVERSE_SQRT_PI = 5.6418958354775628695e-1
_SMALL_END, _MIDDLE_END = 0.46875, 4.0
# Beyond this the function has reached its limit in float32, and the square stays finite.
_LARGE_END = 10.5
# erfc(x) exp(x^2) (1 + x / 2) as a polynomial in 1 / (1 + x / 2): least squares of the relative
# error at Chebyshev's nodes, where erfc(x) is no denormal; 5e-8 off at most.
_SCALED = (
    -0.0601380104,
    0.289585496,
    -0.497110157,
    0.288826147,
    -0.0336058359,
    0.205444577,
    0.242459006,
    0.282456516,
    0.282082212,
)


def erf(_: Any, inputs: Sequence[Tensor]) -> Tensor:
    """Odd: x P(x^2) / Q(x^2) up to 0.46875, and 1 - erfc beyond."""
    [x] = inputs
    size = tf.abs(x)
    far = tf.sign(x) * (1 - _erfc_of_large(tf.maximum(size, _SMALL_END)))
    return tf.where(size <= _SMALL_END, _erf_of_small(x), far)


def erfc(_: Any, inputs: Sequence[Tensor]) -> Tensor:
    """1 - erf(x) near zero; above it with full relative accuracy, below it 2 - erfc(-x)."""
    [x] = inputs
    size = tf.abs(x)
    far = _erfc_of_large(tf.maximum(size, _SMALL_END))
    return tf.where(size <= _SMALL_END, 1 - _erf_of_small(x), tf.where(x < 0, 2 - far, far))


def erfc_in_one(node: Any, inputs: Sequence[Tensor]) -> Tensor:
    """Of float32, the same by one formula for all arguments.

    It is a fifth of the other's nodes: tf2onnx makes seven of each `where`, and what a runtime has
    no shader for goes back and forth between a GPU and the CPU.
    """
    [x] = inputs
    if x.dtype != tf.float32:
        return erfc(node, inputs)
    size = tf.abs(x)
    share = 1 / (1 + 0.5 * size)
    value = share * tf.exp(-(size * size)) * _polynomial(_SCALED, share)
    negative = tf.cast(x < 0, x.dtype)
    return value + negative * (2 - 2 * value)


def _erf_of_small(x: Tensor) -> Tensor:
    x = tf.clip_by_value(x, -_SMALL_END, _SMALL_END)
    return x * _ratio(_SMALL, tf.square(x))


def _erfc_of_large(size: Tensor) -> Tensor:
    """erfc for arguments of 0.46875 or more."""
    y = tf.minimum(size, _LARGE_END)
    middle = _ratio(_MIDDLE, tf.minimum(y, _MIDDLE_END))
    inverse = 1 / tf.square(tf.maximum(y, _MIDDLE_END))
    large = (_INVERSE_SQRT_PI - inverse * _ratio(_LARGE, inverse)) / tf.maximum(y, _MIDDLE_END)
    coarse = tf.floor(y * 16) / 16
    product = tf.exp(-tf.square(coarse)) * tf.exp(-(y - coarse) * (y + coarse))
    value = product * tf.where(y <= _MIDDLE_END, middle, large)
    # A NaN passes: no comparison with it is true.
    return tf.where(size >= _LARGE_END, tf.zeros_like(size), value)


def _ratio(coefficients: Any, x: Tensor) -> Tensor:
    numerator, denominator = coefficients
    return _polynomial(numerator, x) / _polynomial(denominator, x)


def _polynomial(coefficients: Sequence[float], x: Tensor) -> Tensor:
    value = tf.ones_like(x) * coefficients[0]
    for coefficient in coefficients[1:]:
        value = value * x + coefficient
    return value
