"""The functions that a perturbed graph calls: they move tensors by what `oracle.rounding` says.

Which way an element goes is decided by a hash of its value and a salt: deterministic, so that an
export repeats itself to the byte; another at each turn of a loop; and the same for equal values in
one operation, as rounding itself is. Salt and factors come from a variable that is found by its
name, for a loop's body cannot reach the graph around it.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tensorflow.core.framework import function_pb2, types_pb2

from oracle.rounding import ROUNDOFF, Composite, Contraction, Elementwise, Row, Tensor

STATE = "portproof/rounding"  # float64 [3]: salt, factor of rounding, factor of a shader's error

# 2^64 over the golden ratio, and another odd number without a pattern, as signed integers
# (the constants of SplitMix64, G. L. Steele et al., OOPSLA 2014).
_GAMMA, _OTHER = -7046029254386353131, -4658895280553007687
_SIGN_BIT = -(2**63)


class Library:
    """The functions that one graph needs, each made once."""

    def __init__(self) -> None:
        self._made: dict[Any, function_pb2.FunctionDef] = {}

    @property
    def functions(self) -> list[function_pb2.FunctionDef]:
        return list(self._made.values())

    def operands(
        self, row: Row, attr: Any, dtype: int, types: list[int]
    ) -> function_pb2.FunctionDef:
        """Inputs -> inputs disturbed, and by how much the result is to be, relatively."""
        number = len(self._made)

        def disturbed(*inputs: Tensor) -> list[Tensor]:
            if isinstance(row, Contraction):
                return _contraction_operands(row, inputs, attr, ROUNDOFF[dtype], number)
            assert isinstance(row, Composite)
            return _composite_operands(row, inputs, ROUNDOFF[dtype], number)

        # Shapes that TensorFlow noted are not what a function depends on; what it sums over is.
        told = sorted((name, str(value)) for name, value in attr.items() if name[0] != "_")
        return self._get(("operands", id(row), dtype, *types, *told), disturbed, types)

    def result(self, row: Row, dtype: int, types: list[int]) -> function_pb2.FunctionDef:
        """Inputs (where a node has operands disturbed, that factor too) and result -> result."""
        number = len(self._made)

        def elementwise(*given: Tensor) -> Tensor:
            *inputs, made = given
            assert isinstance(row, Elementwise)
            return _move(
                made, _rounding(row, inputs, made, dtype), number, _shaded(row, given, dtype)
            )

        def others(*given: Tensor) -> Tensor:
            *inputs, factor, made = given
            floor = row.floor if isinstance(row, Composite) else 0.0
            rounding = factor * tf.maximum(tf.abs(made), tf.constant(floor, made.dtype))
            return _move(made, rounding, number, _shaded(row, (*inputs, made), dtype))

        key = ("result", id(row), dtype, *types)
        if isinstance(row, Elementwise):
            return self._get(key, elementwise, [*types, tf.float64])
        return self._get(key, others, [*types, tf.float64, tf.float64])

    def _get(
        self, key: Any, function: Callable[..., Any], types: list[Any]
    ) -> function_pb2.FunctionDef:
        if key not in self._made:
            specs = [tf.TensorSpec(None, dtype) for dtype in types]
            concrete = tf.function(function, autograph=False).get_concrete_function(*specs)
            made = function_pb2.FunctionDef.FromString(concrete.function_def.SerializeToString())
            made.signature.name = f"portproof_{len(self._made)}"
            self._made[key] = made
        return self._made[key]


def _rounding(row: Elementwise, inputs: list[Tensor], made: Tensor, dtype: int) -> Tensor:
    """By how much a result may be off; not at all where a correct one cannot be."""
    size = tf.maximum(tf.abs(made), tf.constant(row.floor, made.dtype))
    if row.of_operands:
        size = _largest_operand(inputs, made)
    rounding = 2 * ROUNDOFF[dtype] * row.ulps * size
    if row.exact and dtype != types_pb2.DT_DOUBLE:
        held = tf.equal(made, tf.cast(tf.cast(made, dtype), made.dtype))
        rounding = tf.where(held, tf.zeros_like(rounding), rounding)
    return rounding


def _largest_operand(inputs: list[Tensor], made: Tensor) -> Tensor:
    """Of a sum or a difference, which may have broadcast the first of two or the second."""
    if len(inputs) == 2:
        return tf.maximum(tf.abs(inputs[0]), tf.abs(made - inputs[0]))
    return tf.reduce_max(tf.abs(tf.stack(inputs)), axis=0)


def _contraction_operands(
    row: Contraction, inputs: tuple[Tensor, ...], attr: Any, unit: float, number: int
) -> list[Tensor]:
    count = tf.cast(row.terms(list(inputs), attr), tf.float64)
    floats = [array for array in inputs if array.dtype.is_floating]
    # Sums of whole numbers are exact in any order, while they stay below the dtype's precision.
    most = count
    whole = []
    for array in floats:
        most *= tf.reduce_max(tf.abs(array))
        whole.append(tf.reduce_all(tf.equal(array, tf.math.rint(array))))
    exact = tf.logical_and(tf.reduce_all(whole), most < 1 / unit)
    division = 0.0 if row.ulps == 0.5 else 2 * unit * row.ulps
    by = tf.where(exact, tf.constant(0.0, tf.float64), unit * tf.sqrt(1 + count / 18))
    factor = unit * tf.sqrt((2 * row.ulps) ** 2 + count / 9)
    moved = list(inputs)
    terms = inputs[row.operand]
    moved[row.operand] = _move(terms, by * tf.abs(terms), number)
    return [*moved, tf.where(exact, tf.constant(division, tf.float64), factor)]


def _composite_operands(
    row: Composite, inputs: tuple[Tensor, ...], unit: float, number: int
) -> list[Tensor]:
    [x] = inputs
    return [_move(x, row.operand(x, unit), number), tf.constant(2 * unit * row.ulps, tf.float64)]


def _shaded(row: Row, given: tuple[Tensor, ...], dtype: int) -> Tensor | None:
    *inputs, made = given
    shader = None if isinstance(row, Contraction) else row.shader
    return shader(inputs, made, ROUNDOFF[dtype]) if shader else None


def _move(array: Tensor, rounding: Tensor, number: int, shader: Tensor | None = None) -> Tensor:
    """Each finite element up or down by both amounts, each times its factor of the state."""
    handle = tf.raw_ops.VarHandleOp(shared_name=STATE, dtype=tf.float64, shape=[3])
    state = tf.raw_ops.ReadVariableOp(resource=handle, dtype=tf.float64)
    by = state[1] * rounding
    if shader is not None:
        by += state[2] * shader
    signed = tf.bitwise.bitwise_xor(tf.bitcast(by, tf.int64), _signs(array, state[0], number))
    moved = array + tf.bitcast(signed, tf.float64)
    return tf.where(tf.math.is_finite(by), moved, array)


def _signs(array: Tensor, salt: Tensor, number: int) -> Tensor:
    """The sign bit or nothing, for each element: the highest bit of its bits times an odd number.

    Multiplicative hashing (D. E. Knuth, The Art of Computer Programming, vol. 3, section 6.4).
    """
    odd = (tf.cast(salt, tf.int64) * _GAMMA + _wrapped(number * _OTHER)) * 2 + 1
    return tf.bitwise.bitwise_and(tf.bitcast(array, tf.int64) * odd, _SIGN_BIT)


def _wrapped(number: int) -> int:
    """An integer modulo 2^64, as a signed one."""
    return (number + 2**63) % 2**64 - 2**63
