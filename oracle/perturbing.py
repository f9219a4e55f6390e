"""A frozen graph, raised to float64, in which every operation's result is off by a little.

Each node that `oracle.rounding` lists is followed by a call of a small function that moves its
result (and some are preceded by one that moves their operands) up or down by the table's amount.
"""

from collections.abc import Collection, Iterator, MutableSequence
from graphlib import TopologicalSorter
from typing import Any

from tensorflow.core.framework import graph_pb2, node_def_pb2
from tensorflow.python.framework import op_def_registry

from oracle.disturbances import Library
from oracle.raising import input_types, is_narrow, raised
from oracle.rounding import ROUNDOFF, UNLISTED, Elementwise, Row, row

_EXACT, _OPERANDS = "/exact", "/operands"
# What these give is about a tensor, not of its values.
_ABOUT = {"Shape", "ShapeN", "Size", "Rank", "ZerosLike", "OnesLike"}

Nodes = MutableSequence[node_def_pb2.NodeDef]


def perturbed(frozen: graph_pb2.GraphDef, weights: Collection[str]) -> graph_pb2.GraphDef:
    """A raised copy of a frozen graph, disturbed as the variable `disturbances.STATE` says.

    `weights` are the constants that were variables. Names of tensors stay: a name now stands for
    the disturbed tensor.
    """
    graph = raised(frozen)
    library = Library()
    sources = {node.name for node in frozen.node if _is_value(node) or node.name in weights}
    _Body(graph.node, _listed(frozen.node, sources), library, inside=False).disturb()
    originals = {f.signature.name: f for f in frozen.library.function}
    for function in graph.library.function:
        original = originals[function.signature.name]
        sources = {arg.name for arg in original.signature.input_arg if arg.type in ROUNDOFF}
        sources |= {node.name for node in original.node_def if _is_value(node)}
        listed = _listed(original.node_def, sources)
        body = _Body(function.node_def, listed, library, inside=True)
        body.disturb()
        for key, ref in function.ret.items():
            function.ret[key] = body.moved(ref)
    graph.library.function.extend(library.functions)
    return graph


def _is_value(node: node_def_pb2.NodeDef) -> bool:
    """Whether a node is a float input, or a constant of more than a scalar: a weight, a table."""
    dtype = node.attr["dtype"].type if "dtype" in node.attr else None
    if dtype not in ROUNDOFF:
        return False
    if node.op == "Const":
        shape = node.attr["value"].tensor.tensor_shape
        return any(dim.size != 1 for dim in shape.dim)
    return bool(node.op == "Placeholder")


def _listed(nodes: Nodes, sources: Collection[str]) -> dict[str, tuple[Row, int]]:
    """The nodes that have a rule and depend on a source's values, with the dtype that they make."""
    known = {node.name: node for node in nodes}
    before = {name: [_name(ref) for ref in node.input] for name, node in known.items()}
    moved = set(sources)
    found: dict[str, tuple[Row, int]] = {}
    for name in TopologicalSorter(before).static_order():
        node = known.get(name)
        if node is None or node.op in _ABOUT or not moved.intersection(before[name]):
            continue
        moved.add(name)
        dtype = _made(node)
        rule = row(node.op)
        if dtype is not None and dtype in ROUNDOFF and rule is not None:
            # What is not raised is several nodes by now, of which the last has its name.
            found[name] = (UNLISTED if is_narrow(node) else rule, dtype)
    return found


def _name(ref: str) -> str:
    # What a node only waits for is no value of its; it gets a name that no node has.
    return ref.split(":")[0]


def _made(node: node_def_pb2.NodeDef) -> int | None:
    """The dtype of a node's one output, or of the first of several; None of a list of them."""
    definition = op_def_registry.get(node.op)
    if definition is None or not definition.output_arg:
        return None
    first = definition.output_arg[0]
    if first.number_attr or first.type_list_attr:
        return None
    return int(node.attr[first.type_attr].type if first.type_attr else first.type)


class _Body:
    """The nodes of a graph, or of a function, where tensors are referred to in another way.

    In a graph a tensor is `NODE` or `NODE:2`, in a function `NODE:ARGUMENT:0` (tensorflow/core/
    framework/function.proto).
    """

    def __init__(
        self,
        nodes: Nodes,
        listed: dict[str, tuple[Row, int]],
        library: Library,
        *,
        inside: bool,
    ) -> None:
        self._nodes, self._listed, self._library, self._inside = nodes, listed, library, inside
        self._first: dict[str, str] = {}  # disturbed nodes, and their first output's argument

    def disturb(self) -> None:
        """Put each listed node between the calls that disturb it, in place."""
        listed = [node for node in self._nodes if node.name in self._listed]
        definitions = {node.name: op_def_registry.get(node.op) for node in listed}
        self._first = {name: found.output_arg[0].name for name, found in definitions.items()}
        added = [new for node in listed for new in self._wrapped(node)]
        self._nodes.extend(added)
        for node in self._nodes:
            node.input[:] = [self.moved(ref) for ref in node.input]

    def moved(self, ref: str) -> str:
        """What a reference to a tensor of the original has become."""
        name, _, rest = ref.partition(":")
        if name not in self._first:
            return ref
        first = f"{self._first[name]}:0" if self._inside else ""
        return self._output(name) if rest == first else f"{name}{_EXACT}:{rest}"

    def _output(self, name: str, n: int = 0) -> str:
        """A reference to an output of a call."""
        if self._inside:
            return f"{name}:output:{n}"
        return f"{name}:{n}" if n else name

    def _wrapped(self, node: node_def_pb2.NodeDef) -> Iterator[node_def_pb2.NodeDef]:
        """The nodes that come before this one, which becomes the last of them: a call."""
        (rule, dtype), types = self._listed[node.name], list(input_types(node))
        exact = node_def_pb2.NodeDef()
        exact.CopyFrom(node)
        exact.name = node.name + _EXACT
        data = [ref for ref in node.input if not ref.startswith("^")]
        given = list(data)
        if not isinstance(rule, Elementwise):
            operands = self._library.operands(rule, node.attr, dtype, types)
            before = _call(node.name + _OPERANDS, operands, data)
            yield before
            exact.input[: len(data)] = [self._output(before.name, n) for n in range(len(data))]
            given.append(self._output(before.name, len(data)))
        made = f"{exact.name}:{self._first[node.name]}:0" if self._inside else exact.name
        result = self._library.result(rule, dtype, types)
        yield exact
        node.CopyFrom(_call(node.name, result, [*given, made]))


def _call(name: str, function: Any, inputs: list[str]) -> node_def_pb2.NodeDef:
    """A call of a library function, for which a reference to it is made."""
    node = node_def_pb2.NodeDef(name=name, op="StatefulPartitionedCall", input=inputs)
    signature = function.signature
    node.attr["f"].func.name = signature.name
    node.attr["Tin"].list.type.extend(arg.type for arg in signature.input_arg)
    node.attr["Tout"].list.type.extend(arg.type for arg in signature.output_arg)
    return node
