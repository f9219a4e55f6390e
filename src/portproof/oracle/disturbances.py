"""The functions that a perturbed graph calls: they move tensors as far as a rule says.

A hash of an element's value and a salt decides in which direction it goes. So two exports are the
same bytes, each iteration of a loop gets another direction, and equal values in one operation get
the same, as rounding itself does. Salt and factors come from a variable that is found by its name,
because a loop's body cannot reach the graph around it.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tensorflow.core.framework import function_pb2, types_pb2

from portproof.oracle.rounding import ROUNDOFF
from portproof.oracle.rules import Composite, Contraction, Elementwise, Rule, Tensor

# float64 [3]: salt, factor of rounding, factor of a shader's error. With a salt of 0 every element
# goes up, or down where the factor is negative.
STATE = "portproof/rounding"

# 2^64 over the golden ratio, and another odd number without a pattern, as signed integers
# (the constants of SplitMix64, G. L. Steele et al., OOPSLA 2014).
_GAMMA, _OTHER = -7046029254386353131, -4658895280553007687
_SIGN_BIT = -(2**63)
# Elements of an array that are looked at first, to see whether they are whole.
_FIRST = 4096


class Library:
    """The functions that one graph needs, each made once."""

    def __init__(self) -> None:
        self._functions: dict[Any, function_pb2.FunctionDef] = {}

    @property
    def functions(self) -> list[function_pb2.FunctionDef]:
        return list(self._functions.values())

    def operands(
        self, rule: Rule, attr: Any, dtype: int, dtypes: list[int]
    ) -> function_pb2.FunctionDef:
        """Inputs -> inputs disturbed, and by how much the result is to be, relatively.

        Of a sum of products also by how much it is to be of what is added first.
        """
        number = len(self._functions)

        def disturbed(*inputs: Tensor) -> list[Tensor]:
            if isinstance(rule, Contraction):
                return _contraction_operands(rule, inputs, attr, ROUNDOFF[dtype], number)
            assert isinstance(rule, Composite)
            return _composite_operands(rule, inputs, ROUNDOFF[dtype], number)

        # What an operation sums over is part of the key; what TensorFlow noted ("_...") is not.
        attrs = sorted((name, str(value)) for name, value in attr.items() if name[0] != "_")
        return self._get(("operands", id(rule), dtype, *dtypes, *attrs), disturbed, dtypes)

    def result(
        self, rule: Rule, dtype: int, dtypes: list[int], bias: int | None = None
    ) -> function_pb2.FunctionDef:
        """Inputs, for other rules than Elementwise the operands' factor, and result -> result.

        Where the input `bias` may be the first term of a sum of products, that sum's factor for it
        stands before the result.
        """
        number = len(self._functions)

        def elementwise(*arguments: Tensor) -> Tensor:
            assert isinstance(rule, Elementwise)
            inputs, result = list(arguments[: len(dtypes)]), arguments[-1]
            state = _state()
            rounding = _rounding(rule, inputs, result, dtype, state[1])
            if bias is not None:
                first = tf.cast(_size(inputs[bias]), rounding.dtype)
                rounding += state[1] * arguments[-2] * first
            shader = _shader_error(rule, (*inputs, result), dtype, state[2])
            return _move(result, _sum(rounding, shader), number, state[0])

        def others(*arguments: Tensor) -> Tensor:
            *inputs, factor, result = arguments
            state = _state()
            floor = rule.floor if isinstance(rule, Composite) else 0.0
            rounding = state[1] * factor * _size(result, floor)
            shader = _shader_error(rule, (*inputs, result), dtype, state[2])
            return _move(result, _sum(rounding, shader), number, state[0])

        key = ("result", id(rule), dtype, bias, *dtypes)
        made = tf.complex128 if tf.as_dtype(dtype).is_complex else tf.float64
        if isinstance(rule, Elementwise):
            factor = [] if bias is None else [tf.float64]
            return self._get(key, elementwise, [*dtypes, *factor, made])
        return self._get(key, others, [*dtypes, tf.float64, made])

    def _get(
        self, key: Any, function: Callable[..., Any], dtypes: list[Any]
    ) -> function_pb2.FunctionDef:
        if key not in self._functions:
            specs = [tf.TensorSpec(None, dtype) for dtype in dtypes]
            concrete = tf.function(function, autograph=False).get_concrete_function(*specs)
            definition = function_pb2.FunctionDef.FromString(
                concrete.function_def.SerializeToString()
            )
            definition.signature.name = f"portproof_{len(self._functions)}"
            self._functions[key] = definition
        return self._functions[key]


def _state() -> Tensor:
    handle = tf.raw_ops.VarHandleOp(shared_name=STATE, dtype=tf.float64, shape=[3])
    return tf.raw_ops.ReadVariableOp(resource=handle, dtype=tf.float64)


def _rounding(
    rule: Elementwise, inputs: list[Tensor], result: Tensor, dtype: int, amplitude: Tensor
) -> Tensor:
    """How far a result may be off, times a factor; not at all where a correct one cannot be."""
    size = _largest_operand(inputs, result) if rule.of_operands else _size(result, rule.floor)
    rounding = amplitude * (2 * ROUNDOFF[dtype] * rule.ulps) * size
    if rule.exact and dtype not in (types_pb2.DT_DOUBLE, types_pb2.DT_COMPLEX128):
        rounded = tf.not_equal(result, tf.cast(tf.cast(result, dtype), result.dtype))
        rounding *= tf.cast(rounded, rounding.dtype)
    return rounding


def _size(array: Tensor, floor: float = 0.0) -> Tensor:
    """The magnitudes, of which an infinite one counts as the largest finite one."""
    limits = {"clip_value_min": tf.constant(floor, tf.float64), "clip_value_max": tf.float64.max}
    return tf.raw_ops.ClipByValue(t=tf.abs(array), **limits)


def _largest_operand(inputs: list[Tensor], result: Tensor) -> Tensor:
    """Of a sum or a difference, which may have broadcast the first of two or the second."""
    if len(inputs) == 2:
        # Two infinities have no difference.
        return tf.maximum(_size(inputs[0]), _size(_finite(result - inputs[0])))
    return _size(tf.reduce_max(tf.abs(tf.stack(inputs)), axis=0))


def _contraction_operands(
    rule: Contraction, inputs: tuple[Tensor, ...], attr: Any, unit: float, number: int
) -> list[Tensor]:
    count = tf.cast(rule.terms(list(inputs), attr), tf.float64)
    state = _state()
    exact = _is_exact_sum(inputs, count, unit)
    division = 0.0 if rule.ulps == 0.5 else 2 * unit * rule.ulps
    by = tf.where(exact, tf.constant(0.0, tf.float64), unit * tf.sqrt(1 + count / 18))
    factor = unit * tf.sqrt((2 * rule.ulps) ** 2 + count / 9)
    moved = list(inputs)
    terms = inputs[rule.operand]
    moved[rule.operand] = _move(terms, state[1] * by * _size(terms), number, state[0])
    start = tf.where(exact, tf.constant(0.0, tf.float64), unit * tf.sqrt(count / 3))
    return [*moved, tf.where(exact, tf.constant(division, tf.float64), factor), start]


def _is_exact_sum(inputs: tuple[Tensor, ...], count: Tensor, unit: float) -> Tensor:
    """Sums of whole numbers are exact in any order, while they stay below the dtype's precision."""
    most = count
    whole = tf.constant(value=True)
    for part in (part for array in inputs for part in _parts(array)):
        flat = tf.reshape(part, [-1])
        begins_whole = _are_whole(flat[:_FIRST])
        # All the others are looked at only where the first ones are whole.
        flat = flat[: tf.where(begins_whole, tf.size(flat), 0)]
        most *= tf.reduce_max(tf.abs(flat))
        whole = tf.reduce_all([whole, begins_whole, _are_whole(flat)])
    return tf.logical_and(whole, most < 1 / unit)


def _are_whole(array: Tensor) -> Tensor:
    return tf.reduce_all(tf.equal(array, tf.math.rint(array)))


def _composite_operands(
    rule: Composite, inputs: tuple[Tensor, ...], unit: float, number: int
) -> list[Tensor]:
    [x] = inputs
    count = tf.cast(rule.terms(x), tf.float64) if rule.terms else tf.constant(0.0, tf.float64)
    factor = unit * tf.sqrt((2 * rule.ulps) ** 2 + count / 9)
    state = _state()
    return [_move(x, state[1] * _finite(rule.operand(x, unit)), number, state[0]), factor]


def _shader_error(
    rule: Rule, arguments: tuple[Tensor, ...], dtype: int, amplitude: Tensor
) -> Tensor | None:
    *inputs, result = arguments
    if result.dtype.is_complex:  # no shading language has complex numbers
        return None
    shader = None if isinstance(rule, Contraction) else rule.shader
    return amplitude * _finite(shader(inputs, result, ROUNDOFF[dtype])) if shader else None


def _finite(amount: Tensor) -> Tensor:
    """Nothing where an amount is not finite."""
    return tf.where(tf.math.is_finite(amount), amount, tf.zeros_like(amount))


def _sum(rounding: Tensor, shader: Tensor | None) -> Tensor:
    return rounding if shader is None else rounding + shader


def _move(array: Tensor, by: Tensor, number: int, salt: Tensor) -> Tensor:
    """Each element up or down by a finite amount."""
    if array.dtype.is_complex:
        parts = (_move(part, by, number + n, salt) for n, part in enumerate(_parts(array)))
        return tf.complex(*parts)
    signed = tf.bitwise.bitwise_xor(tf.bitcast(by, tf.int64), _signs(array, salt, number))
    return array + tf.bitcast(signed, tf.float64)


def _parts(array: Tensor) -> list[Tensor]:
    """The real parts of an array: itself, or a complex one's two; of integers none."""
    if array.dtype.is_complex:
        return [tf.math.real(array), tf.math.imag(array)]
    return [array] if array.dtype.is_floating else []


def _signs(array: Tensor, salt: Tensor, number: int) -> Tensor:
    """The sign bit or nothing, for each element: the highest bit of its bits times an odd number.

    Multiplicative hashing (D. E. Knuth, The Art of Computer Programming, vol. 3, section 6.4).
    """
    odd = (tf.cast(salt, tf.int64) * _GAMMA + _wrapped(number * _OTHER)) * 2 + 1
    chosen = tf.where(
        tf.equal(salt, 0.0), tf.constant(0, tf.int64), tf.constant(_SIGN_BIT, tf.int64)
    )
    return tf.bitwise.bitwise_and(tf.bitcast(array, tf.int64) * odd, chosen)


def _wrapped(number: int) -> int:
    """An integer modulo 2^64, as a signed one."""
    return (number + 2**63) % 2**64 - 2**63
