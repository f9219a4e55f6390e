"""Outputs that are one line of arithmetic on the model's inputs and variables."""

from typing import Any

import tensorflow as tf

from portproof.graphs.freezing import input_names
from portproof.sources.functions import named

_SIGNS = {"Mul": "*", "AddV2": "+", "Add": "+", "Sub": "-", "RealDiv": "/", "FloorDiv": "//"}
_PASSING = ("Identity", "ReadVariableOp")


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
    texts = {name: _formula(tensor, names) for name, tensor in named(outputs).items()}
    return {name: text for name, text in texts.items() if text and " " in text}


def _formula(tensor: Any, names: dict[int, str]) -> str | None:
    if id(tensor) in names:
        return names[id(tensor)]
    op = tensor.op
    if op.type in _PASSING:
        return _formula(op.inputs[0], names)
    if op.type not in _SIGNS:
        return None
    operands = [_formula(operand, names) for operand in op.inputs]
    if any(operand is None or " " in operand for operand in operands):
        return None
    return f" {_SIGNS[op.type]} ".join(str(operand) for operand in operands)
