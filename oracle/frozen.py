"""A concrete function's graph with its variables as constants, and its tensors by their names."""

from dataclasses import dataclass
from typing import Any

import tensorflow as tf
from tensorflow.core.framework import graph_pb2
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2


@dataclass(frozen=True)
class Frozen:
    """`inputs` are tensors by the signature's names, `outputs` in the order of the function's."""

    graph: graph_pb2.GraphDef
    inputs: dict[str, Any]
    outputs: list[Any]


def freeze(concrete: Any, *, loops: bool = True, inline: bool = False) -> Frozen:
    """Freeze a function of flat inputs.

    With `loops`, they stay functions; else they become the older operations that TF.js runs.
    """
    frozen = convert_variables_to_constants_v2(
        concrete, lower_control_flow=not loops, aggressive_inlining=inline
    )
    given = [tensor for tensor in frozen.inputs if tensor.dtype != tf.resource]
    inputs = dict(zip(input_names(concrete), given, strict=True))
    return Frozen(frozen.graph.as_graph_def(), inputs, list(frozen.outputs))


def input_names(concrete: Any) -> list[str]:
    """The signature's names of a function's inputs, in the order in which it takes them.

    Those by position come first. Of the others a loaded function says no order but in the
    placeholders' own names.
    """
    args, kwargs = concrete.structured_input_signature
    names = [spec.name for spec in tf.nest.flatten(args)]
    own = [tensor for tensor in concrete.inputs if tensor.dtype != tf.resource]
    by_key = {key: spec.name for key, spec in kwargs.items()}
    told = [
        tensor.op.node_def.attr["_user_specified_name"].s.decode()
        for tensor in own[len(names) : len(names) + len(kwargs)]
    ]
    keys = told if set(told) == set(by_key) else sorted(by_key)
    return [*names, *(by_key[key] for key in keys)]
