"""What a graph only checks or prints, taken out of it: nothing that is computed depends on it."""

from collections.abc import Sequence

from tensorflow.core.framework import graph_pb2
from tensorflow.core.framework.node_def_pb2 import NodeDef as Node

from portproof.graphs.references import subgraph

NOTE = "without {}, which only {}"
_CHECKS = frozenset({"Assert", "CheckNumerics", "CheckNumericsV2"})
_PRINTS = frozenset({"Print", "PrintV2"})
# These hand their first input through.
_PASSING = frozenset({"CheckNumerics", "CheckNumericsV2", "Print"})


def stripped(
    graph: graph_pb2.GraphDef, needed: Sequence[str]
) -> tuple[graph_pb2.GraphDef, tuple[str, ...]]:
    """A copy of a frozen graph without its checks and prints, and notes on what was left out.

    Nothing of a frozen graph has an effect but these, so whatever waits for a node waits for one
    of them, and waits are left out too.

    Args:
        graph: A frozen graph; one with the older loops (`Enter`) is returned as it is.
        needed: The names of the nodes that stay.
    """
    bodies = [graph.node, *(function.node_def for function in graph.library.function)]
    ops = {node.op for body in bodies for node in body}
    found = [(ops & _CHECKS, "checks"), (ops & _PRINTS, "prints")]
    if not any(names for names, _ in found) or "Enter" in ops:
        return graph, ()
    result = graph_pb2.GraphDef()
    result.CopyFrom(graph)
    _strip(result.node)
    for function in result.library.function:
        function.control_ret.clear()
        del function.signature.control_output[:]
        _strip(function.node_def)
    notes = tuple(NOTE.format(", ".join(sorted(n)), does) for n, does in found if n)
    return subgraph(result, needed), notes


def _strip(nodes: Sequence[Node]) -> None:
    for node in nodes:
        data = [ref for ref in node.input if not ref.startswith("^")]
        node.input[:] = data
        if node.op in _PASSING:
            dtype = node.attr["T"].type
            node.op, node.input[:] = "Identity", data[:1]
            node.attr.clear()
            node.attr["T"].type = dtype
    for position in reversed(range(len(nodes))):
        if nodes[position].op in ("Assert", "PrintV2"):
            del nodes[position]  # type: ignore[attr-defined]
