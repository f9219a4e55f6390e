"""The functions that a perturbed graph calls: they move tensors by what `oracle.rounding` says.

Which way an element goes is decided by a hash of its value, its place and a salt: deterministic,
so that an export repeats itself to the byte, and another at each turn of a loop. Salt and factors
come from a variable that is found by its name, for a loop's body cannot reach the graph around it.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tensorflow.core.framework import function_pb2

from oracle.rounding import TABLE, Composite, Contraction, Elementwise, Tensor

STATE = "portproof/rounding"  # float64 [3]: salt, factor of rounding, factor of a shader's error

# Odd constants of SplitMix64 (G. L. Steele et al., OOPSLA 2014), as signed integers.
_GAMMA, _FIRST, _SECOND = (-7046029254386353131, -4658895280553007687, -7723592293110705685)


class Library:
    """The functions that one graph needs, each made once."""

    def __init__(self) -> None:
        self._made: dict[Any, function_pb2.FunctionDef] = {}

    @property
    def functions(self) -> list[function_pb2.FunctionDef]:
        return list(self._made.values())

    def operands(
        self, op: str, attr: Any, unit: float, types: list[int]
    ) -> function_pb2.FunctionDef:
        """Inputs -> inputs disturbed, and by how much the result is to be, relatively."""
        row = TABLE[op]
        attrs = sorted((name, str(value)) for name, value in attr.items())

        def disturbed(*inputs: Tensor) -> list[Tensor]:
            if isinstance(row, Contraction):
                return _contraction_operands(row, inputs, attr, unit)
            assert isinstance(row, Composite)
            return _composite_operands(row, inputs, unit)

        return self._get(("operands", op, unit, *types, *attrs), disturbed, types)

    def result(self, op: str, unit: float, types: list[int]) -> function_pb2.FunctionDef:
        """Inputs (where a node has operands disturbed, that factor too) and result -> result."""
        row = TABLE[op]

        def elementwise(*given: Tensor) -> Tensor:
            *inputs, made = given
            assert isinstance(row, Elementwise)
            return _move(made, *_elementwise(row, inputs, made, unit))

        def others(*given: Tensor) -> Tensor:
            *inputs, factor, made = given
            floor = row.floor if isinstance(row, Composite) else 0.0
            rounding = factor * tf.maximum(tf.abs(made), tf.constant(floor, made.dtype))
            return _move(made, rounding, _shaded(row, inputs, made, unit))

        key = ("result", op, unit, *types)
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


def _elementwise(
    row: Elementwise, inputs: list[Tensor], made: Tensor, unit: float
) -> tuple[Tensor, Tensor]:
    size = tf.maximum(tf.abs(made), tf.constant(row.floor, made.dtype))
    if row.of_operands:  # of a + b or a - b, the larger of a and b
        size = tf.maximum(tf.abs(inputs[0]), tf.abs(made - inputs[0]))
    rounding = 2 * unit * row.ulps * size
    if row.exact_whole:
        whole = tf.abs(made) < 1 / unit
        for array in (*inputs, made):
            if array.dtype.is_floating:
                whole = tf.logical_and(whole, _is_whole(array))
        rounding = tf.where(whole, tf.zeros_like(rounding), rounding)
    return rounding, _shaded(row, inputs, made, unit)


def _contraction_operands(
    row: Contraction, inputs: tuple[Tensor, ...], attr: Any, unit: float
) -> list[Tensor]:
    count = tf.cast(row.terms(list(inputs), attr), tf.float64)
    floats = [array for array in inputs if array.dtype.is_floating]
    whole = tf.reduce_all([tf.reduce_all(_is_whole(array)) for array in floats])
    unit_or_none = tf.where(whole, tf.constant(0.0, tf.float64), tf.constant(unit, tf.float64))
    moved = list(inputs)
    terms = inputs[row.operand]
    moved[row.operand] = _move(terms, unit_or_none * tf.sqrt(1 + count / 18) * tf.abs(terms))
    return [*moved, unit_or_none * tf.sqrt((2 * row.ulps) ** 2 + count / 9)]


def _composite_operands(row: Composite, inputs: tuple[Tensor, ...], unit: float) -> list[Tensor]:
    [x] = inputs
    return [_move(x, row.operand(x, unit)), tf.constant(2 * unit * row.ulps, tf.float64)]


def _shaded(row: Any, inputs: list[Tensor], made: Tensor, unit: float) -> Tensor:
    shader = getattr(row, "shader", None)
    return shader(inputs, made, unit) if shader else tf.zeros_like(made)


def _is_whole(array: Tensor) -> Tensor:
    return tf.equal(array, tf.math.rint(array))


def _move(array: Tensor, rounding: Tensor, shader: Tensor | float = 0.0) -> Tensor:
    """Each finite element up or down by both amounts, each times its factor of the state."""
    handle = tf.raw_ops.VarHandleOp(shared_name=STATE, dtype=tf.float64, shape=[3])
    state = tf.raw_ops.ReadVariableOp(resource=handle, dtype=tf.float64)
    by = _signs(array, tf.cast(state[0], tf.int64)) * (state[1] * rounding + state[2] * shader)
    return tf.where(tf.math.is_finite(by), array + by, array)


def _signs(array: Tensor, salt: Tensor) -> Tensor:
    """1 or -1 for each element, by SplitMix64's mixing of its bits, its place and the salt."""
    place = tf.reshape(tf.range(tf.size(array, tf.int64)), tf.shape(array))
    mixed = tf.bitcast(array, tf.int64) + (place + salt * 0x5DEECE66D) * _GAMMA
    for shift, factor in ((30, _FIRST), (27, _SECOND)):
        high = tf.bitwise.right_shift(mixed, tf.constant(shift, tf.int64))
        mixed = tf.bitwise.bitwise_xor(mixed, high) * factor
    bit = tf.bitwise.bitwise_and(tf.bitwise.right_shift(mixed, tf.constant(31, tf.int64)), 1)
    return tf.cast(1 - 2 * bit, tf.float64)
