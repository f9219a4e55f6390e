"""What an output is of the model's inputs and variables, where that is one line of arithmetic."""

from typing import Any

import tensorflow as tf

from export.source import named
from oracle.frozen import input_names

_SIGNS = {"Mul": "*", "AddV2": "+", "Add": "+", "Sub": "-", "RealDiv": "/", "FloorDiv": "//"}
_PASSED = ("Identity", "ReadVariableOp")


def formulas(concrete: Any) -> dict[str, str]:
    """By output, such as `x * weight`; outputs that are more than that are left out."""
    variables = {v.handle.ref(): v.name for v in concrete.graph.variables}
    names = {
        id(inner): variables[outer.ref()].split(":")[0].split("/")[-1]
        for outer, inner in concrete.graph.captures
        if outer.ref() in variables
    }
    names |= {id(t): name for t, name in zip(concrete.inputs, input_names(concrete), strict=False)}
    outputs = tf.nest.pack_sequence_as(concrete.structured_outputs, concrete.outputs)
    made = {name: _formula(tensor, names) for name, tensor in named(outputs).items()}
    return {name: text for name, text in made.items() if text and " " in text}


def _formula(tensor: Any, names: dict[int, str]) -> str | None:
    if id(tensor) in names:
        return names[id(tensor)]
    op = tensor.op
    if op.type in _PASSED:
        return _formula(op.inputs[0], names)
    if op.type not in _SIGNS:
        return None
    parts = [_formula(operand, names) for operand in op.inputs]
    if any(part is None or " " in part for part in parts):
        return None
    return f" {_SIGNS[op.type]} ".join(str(part) for part in parts)
