"""How far shaders' results may be off: WGSL's "Floating Point Accuracy", as formulas.

Each takes an operation's inputs, its result and the unit roundoff (see `rules.ShaderError`).
"""

import tensorflow as tf

from portproof.oracle.rules import ShaderError, Tensor


def ulps(count: float) -> ShaderError:
    return lambda _, y, u: 2 * u * count * tf.abs(y)


def absolute(error: float) -> ShaderError:
    return lambda _, y, __: tf.fill(tf.shape(y), tf.constant(error, y.dtype))


def _exp_ulps(x: Tensor) -> Tensor:
    """WGSL's `exp`: 3 + 2|x| ULP."""
    return 3 + 2 * tf.abs(x)


def _log(x: Tensor, y: Tensor, u: float) -> Tensor:
    """WGSL's `log`: 2^-21 where x is in [0.5, 2], and 3 ULP elsewhere."""
    near_one = tf.logical_and(x >= 0.5, x <= 2.0)
    return tf.where(near_one, tf.constant(2.0**-21, x.dtype), 6 * u * tf.abs(y))


def power(inputs: list[Tensor], y: Tensor, u: float) -> Tensor:
    """`exp2(b * log2(a))`, as WGSL has it."""
    a, b = inputs
    log2 = tf.math.log(tf.abs(a)) / tf.math.log(tf.constant(2.0, a.dtype))
    exponent = tf.abs(b) * _log(tf.abs(a), log2, u)
    return tf.abs(y) * (exponent + 2 * u * _exp_ulps(b * log2))


def sigmoid(inputs: list[Tensor], y: Tensor, u: float) -> Tensor:
    return 2 * u * y * (_exp_ulps(inputs[0]) * (1 - y) + 2.5)


def softmax(inputs: list[Tensor], y: Tensor, u: float) -> Tensor:
    return 2 * u * y * (2 * _exp_ulps(below_largest(inputs[0])) + 2.5)


def exp_of_negative(inputs: list[Tensor], y: Tensor, u: float) -> Tensor:
    x = tf.minimum(inputs[0], 0)
    return 2 * u * (_exp_ulps(x) * tf.exp(x) + tf.abs(y))


def hyperbolic(inputs: list[Tensor], _: Tensor, u: float) -> Tensor:
    return 2 * u * _exp_ulps(inputs[0]) * tf.cosh(inputs[0])


def tangent(_: list[Tensor], y: Tensor, __: float) -> Tensor:
    return 2.0**-11 * (1 + tf.abs(y)) * tf.sqrt(1 + y * y)


def error_function(inputs: list[Tensor], _: Tensor, u: float) -> Tensor:
    """Abramowitz and Stegun 7.1.26 (1.5e-7), which shaders use for what WGSL does not have."""
    square = tf.square(inputs[0])
    return 1.5e-7 + 2 * u * _exp_ulps(square) * tf.exp(-square)


def exp(inputs: list[Tensor], y: Tensor, u: float) -> Tensor:
    return 2 * u * _exp_ulps(inputs[0]) * tf.abs(y)


def exp_minus_1(inputs: list[Tensor], _: Tensor, u: float) -> Tensor:
    return 2 * u * _exp_ulps(inputs[0]) * tf.exp(inputs[0])


def log_of(inputs: list[Tensor], y: Tensor, u: float) -> Tensor:
    return _log(inputs[0], y, u)


def log_of_1_plus(inputs: list[Tensor], y: Tensor, u: float) -> Tensor:
    return _log(1 + inputs[0], y, u)


def below_largest(x: Tensor) -> Tensor:
    """How far each element is below the largest of its row, which a softmax takes to the power."""
    return x - tf.reduce_max(x, axis=-1, keepdims=True)
