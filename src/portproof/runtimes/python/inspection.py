"""The tensors inside a TensorFlow graph: as TensorFlow computes them, and their right values."""

from collections.abc import Callable, Collection, Iterable
from typing import Any

import numpy as np

from portproof.bundle.tensors import Arrays, Infer, in_group
from portproof.runtimes.protocol import Node, Request

# Nodes that hold no computed tensor, or none that a file can carry.
_SKIPPED = {"Const", "NoOp", "VarHandleOp", "ReadVariableOp"}


class Inspector:
    """Shows the tensors inside, and keeps the last graph: its oracle takes seconds to make.

    Args:
        load: Gives a request's SavedModel and signature, as an InspectedGraph takes them.
    """

    def __init__(self, load: Callable[[Request], tuple[Any, Any]]) -> None:
        self._load = load
        self._last: tuple[Any, InspectedGraph] | None = None

    def infer(self, request: Request) -> Infer:
        """What answers a request that has an `inspect`."""
        key = (request.artifact, request.graph, request.signature)
        if self._last is None or self._last[0] != key:
            self._last = None  # its memory, before the new one's
            self._last = (key, InspectedGraph(*self._load(request)))
        graph = self._last[1]
        return graph.oracle() if request.inspect == "oracle" else graph.tensors(request.nodes)


class InspectedGraph:
    """A signature whose inner tensors are computed, by the names of the nodes that make them.

    Args:
        module: The loaded SavedModel, which is kept alive.
        function: The signature's function.
    """

    def __init__(self, module: Any, function: Any) -> None:
        from portproof.graphs.references import in_order
        from portproof.oracle.oracle import Oracle

        self._module, self._graph = module, Oracle(function)
        self._nodes = in_order(self._graph.graph.node)
        self._shown = [
            n.name for n in self._nodes if n.op not in _SKIPPED and self._graph.is_array(n.name)
        ]

    def tensors(self, only: Collection[str] = ()) -> Infer:
        """What computes them as TensorFlow does.

        Args:
            only: The nodes that are asked for; empty: all, and the answer tells of them. Arrays
                that are named `fed/NODE` are then taken for what these nodes give.
        """

        def infer(arrays: Arrays) -> Arrays:
            fed = {f"{name}:0": array for name, array in in_group(arrays, "fed").items()}
            inputs = {n: array for n, array in arrays.items() if not n.startswith("fed/")}
            return self._original(inputs, only, fed)

        def infer_all(inputs: Arrays) -> Arrays:
            return self._original(inputs, self._shown, {})

        infer_all.answer_fields = self._fields()  # type: ignore[attr-defined]
        return infer if only else infer_all

    def _original(self, inputs: Arrays, names: Iterable[str], fed: Arrays) -> Arrays:
        tensors = self._graph.original(inputs, {name: f"{name}:0" for name in names}, fed)
        return {name: np.asarray(array) for name, array in tensors.items()}

    def oracle(self) -> Infer:
        """What computes `reference/NODE`, and for floats `oracle/NODE` and `rounding/NODE`.

        Where shaders may be less precise, also `shader/NODE`.
        """

        def infer(inputs: Arrays) -> Arrays:
            return self._measured(inputs)

        infer.answer_fields = self._fields()  # type: ignore[attr-defined]
        return infer

    def _fields(self) -> dict[str, Any]:
        """The answer's nodes in the order of computation, and those that make the outputs."""
        from portproof.graphs.references import data_inputs, node_name

        return {
            "nodes": tuple(
                Node(name=n.name, op=n.op, inputs=tuple(node_name(ref) for ref in data_inputs(n)))
                for n in self._nodes
            ),
            "output_nodes": {name: node_name(t) for name, t in self._graph.outputs.items()},
        }

    def _measured(self, inputs: Arrays) -> Arrays:
        from portproof.bundle.float_format import as_stored

        originals = self._original(inputs, self._shown, {})
        arrays = {f"reference/{name}": array for name, array in originals.items()}
        deviations = self._graph.deviations(inputs, {name: f"{name}:0" for name in self._shown})
        for name, exact in deviations.exact.items():
            if np.asarray(exact).dtype != np.float64:
                continue
            arrays[f"oracle/{name}"] = np.asarray(exact)
            dtype = originals[name].dtype
            arrays[f"rounding/{name}"] = as_stored(deviations.correct[name], dtype)
            if deviations.shader is not None:
                arrays[f"shader/{name}"] = as_stored(deviations.shader[name], dtype)
        return arrays
