"""How far the result of one operation may be off: the three kinds of rules."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Tensor = Any
# Inputs, result and unit roundoff -> how far a shader's result may be off.
ShaderError = Callable[[list[Tensor], Tensor, float], Tensor]


@dataclass(frozen=True)
class Elementwise:
    """An operation whose result is off by some units in the last place.

    Attributes:
        ulps: How many.
        of_operands: Whether they are units of the largest operand, as of a sum, not of the result.
        floor: The least magnitude whose units are taken.
        exact: Whether a result that the dtype can hold is not rounded at all.
        shader: How far a shader's result may be off in addition; None where no less is promised.
    """

    ulps: float = 0.5
    of_operands: bool = False
    floor: float = 0.0
    exact: bool = False
    shader: ShaderError | None = None


@dataclass(frozen=True)
class Contraction:
    """A sum of products, or a plain sum.

    Attributes:
        terms: The number of terms, of the inputs and the node's attributes.
        operand: The position of the input that is disturbed in the place of the terms.
        ulps: The last rounding.
    """

    terms: Callable[[list[Tensor], Any], Tensor]
    operand: int = 0
    ulps: float = 0.5


@dataclass(frozen=True)
class Composite:
    """An operation of one input that is several in one: its input is disturbed, then its result.

    Attributes:
        operand: How far its input may be off, of the input and the unit roundoff.
        ulps: The result's own error, in units of a value of at least `floor`.
        floor: See `ulps`.
        terms: The number of terms of the sum that is in it, of the input, as a number or for each
            row; None: it has none.
        shader: As of `Elementwise`.
    """

    operand: Callable[[Tensor, float], Tensor]
    ulps: float
    floor: float = 0.0
    terms: Callable[[Tensor], Tensor] | None = None
    shader: ShaderError | None = None


Rule = Elementwise | Contraction | Composite
