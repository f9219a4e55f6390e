"""The tensors inside a TensorFlow graph: as TensorFlow computes them, and their right values."""

from typing import Any

import numpy as np

from portproof.bundle.tensors import Arrays, Infer
from portproof.runtimes.protocol import Node

# Nodes that hold no computed tensor, or none that a file can carry.
_SKIPPED = {"Const", "NoOp", "VarHandleOp", "ReadVariableOp"}


def load(module: Any, function: Any, *, oracle: bool) -> Infer:
    """A signature whose inner tensors are computed, by the names of the nodes that make them.

    Args:
        module: The loaded SavedModel, which is kept alive.
        function: The signature's function.
        oracle: Whether to compute `reference/NODE`, and for floats `oracle/NODE`, `rounding/NODE`
            and, where shaders may be less precise, `shader/NODE`. The answer then has the nodes in
            the order of computation, and those that make the outputs.
    """
    from portproof.graphs.references import data_inputs, in_order, node_name
    from portproof.oracle.oracle import Oracle, as_stored

    graph = Oracle(function)
    nodes = in_order(graph.graph.node)
    names = {
        n.name: f"{n.name}:0" for n in nodes if n.op not in _SKIPPED and graph.is_array(n.name)
    }

    def original(inputs: Arrays) -> Arrays:
        tensors = graph.original(inputs, names)
        return {name: np.asarray(array) for name, array in tensors.items()}

    def measured(inputs: Arrays) -> Arrays:
        arrays = {f"reference/{name}": array for name, array in original(inputs).items()}
        deviations = graph.deviations(inputs, names)
        for name, exact in deviations.exact.items():
            if np.asarray(exact).dtype != np.float64:
                continue
            arrays[f"oracle/{name}"] = np.asarray(exact)
            dtype = arrays[f"reference/{name}"].dtype
            arrays[f"rounding/{name}"] = as_stored(deviations.correct[name], dtype)
            if deviations.shader is not None:
                arrays[f"shader/{name}"] = as_stored(deviations.shader[name], dtype)
        return arrays

    infer: Any = measured if oracle else original
    infer.module = module
    if oracle:
        infer.answer_fields = {
            "nodes": tuple(
                Node(name=n.name, op=n.op, inputs=tuple(node_name(ref) for ref in data_inputs(n)))
                for n in nodes
            ),
            "output_nodes": {name: node_name(tensor) for name, tensor in graph.outputs.items()},
        }
    typed: Infer = infer
    return typed
