"""The tensors inside a TensorFlow graph: as TensorFlow computes them, and as they should be."""

from collections.abc import Iterator
from graphlib import TopologicalSorter
from typing import Any

import numpy as np

from bundle.tensors import Arrays
from verify.runners.loop import Infer

# Nodes that hold no computed tensor, or none that a file can carry.
_PASSED = {"Const", "NoOp", "VarHandleOp", "ReadVariableOp"}


def load(module: Any, function: Any, *, oracle: bool) -> Infer:
    """A signature whose inner tensors are computed, by the names of the nodes that make them.

    With `oracle`, `reference/NODE`, and for floats `oracle/NODE`, `rounding/NODE` and, where
    shaders may do worse, `shader/NODE`; its `about` has the nodes in the order of computation, and
    those that make the `outputs`.
    """
    from oracle.graph import Oracle, narrowed

    graph = Oracle(function)
    nodes = list(_ordered(graph.frozen))
    names = {n.name: f"{n.name}:0" for n in nodes if n.op not in _PASSED and graph.is_array(n.name)}

    def tensors(inputs: Arrays) -> Arrays:
        made = graph.original(inputs, names)
        return {name: np.asarray(array) for name, array in made.items()}

    def measured(inputs: Arrays) -> Arrays:
        found = {f"reference/{name}": array for name, array in tensors(inputs).items()}
        deviations = graph.deviations(inputs, names)
        for name, exact in deviations.exact.items():
            if np.asarray(exact).dtype != np.float64:
                continue
            found[f"oracle/{name}"] = np.asarray(exact)
            dtype = found[f"reference/{name}"].dtype
            found[f"rounding/{name}"] = narrowed(deviations.correct[name], dtype)
            if deviations.shader is not None:
                found[f"shader/{name}"] = narrowed(deviations.shader[name], dtype)
        return found

    infer: Any = measured if oracle else tensors
    infer.about = {}
    if oracle:
        ends = {name: _node(tensor) for name, tensor in graph.outputs.items()}
        infer.about = {"nodes": [_described(node) for node in nodes], "outputs": ends}
    infer.module = module
    checked: Infer = infer
    return checked


def _ordered(graph: Any) -> Iterator[Any]:
    """Nodes, each after those that it takes from."""
    nodes = {node.name: node for node in graph.node}
    before = {node.name: [_node(ref) for ref in node.input] for node in graph.node}
    for name in TopologicalSorter(before).static_order():
        yield nodes[name]


def _node(ref: str) -> str:
    return ref.removeprefix("^").split(":")[0]


def _described(node: Any) -> dict[str, Any]:
    """What a diagnosis wants to know of a node."""
    inputs = [_node(ref) for ref in node.input if not ref.startswith("^")]
    return {"name": node.name, "op": node.op, "inputs": inputs}
