"""How the nodes of a GraphDef refer to each other (tensorflow/core/framework/node_def.proto).

An input is `NODE` or `NODE:2`, the node's first or third output, or `^NODE`, which is only waited
for.
"""

from collections.abc import Iterable, Iterator, Sequence
from graphlib import TopologicalSorter

from tensorflow.core.framework import graph_pb2
from tensorflow.core.framework.node_def_pb2 import NodeDef as Node


def node_name(ref: str) -> str:
    """The name of the node that an input refers to."""
    return ref.lstrip("^").split(":")[0]


def tensor_name(ref: str) -> str:
    """A reference in the form in which sessions and graphs take it: `NODE:0`."""
    return ref if ":" in ref else f"{ref}:0"


def data_inputs(node: Node) -> list[str]:
    """The inputs of a node that carry a tensor."""
    return [ref for ref in node.input if not ref.startswith("^")]


def all_nodes(graph: graph_pb2.GraphDef) -> Iterator[Node]:
    """The nodes of a graph, and those of the functions in its library."""
    yield from graph.node
    for function in graph.library.function:
        yield from function.node_def


def in_order(nodes: Sequence[Node]) -> list[Node]:
    """The nodes, each after those that it takes from."""
    by_name = {node.name: node for node in nodes}
    before = {name: [node_name(ref) for ref in node.input] for name, node in by_name.items()}
    return [by_name[n] for n in TopologicalSorter(before).static_order() if n in by_name]


def subgraph(graph: graph_pb2.GraphDef, names: Iterable[str]) -> graph_pb2.GraphDef:
    """The part of a graph that the named nodes depend on, with them."""
    nodes = {node.name: node for node in graph.node}
    needed, waiting = set(), list(names)
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += [node_name(ref) for ref in nodes[name].input]
    kept = [node for node in graph.node if node.name in needed]
    return graph_pb2.GraphDef(node=kept, versions=graph.versions, library=graph.library)


def copied(node: Node) -> Node:
    """A copy of a node, to be changed."""
    return Node.FromString(node.SerializeToString())
