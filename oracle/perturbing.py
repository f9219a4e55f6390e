"""A frozen graph, raised to float64, in which every operation's result is off by a little.

Each node that `oracle.rounding` lists is followed by a call of a small function that moves its
result (and some are preceded by one that moves their operands) up or down by the table's amount.
"""

from collections.abc import Iterator, MutableSequence
from typing import Any

from tensorflow.core.framework import graph_pb2, node_def_pb2
from tensorflow.python.framework import op_def_registry

from oracle.disturbances import Library
from oracle.raising import raised
from oracle.rounding import ELEMENTWISE, ROUNDOFF, TABLE

_EXACT, _OPERANDS = "/exact", "/operands"

Nodes = MutableSequence[node_def_pb2.NodeDef]


def perturbed(frozen: graph_pb2.GraphDef) -> graph_pb2.GraphDef:
    """A raised copy of a frozen graph, disturbed as the variable `disturbances.STATE` says.

    Names of tensors stay: a name now stands for the disturbed tensor.
    """
    graph = raised(frozen)
    library = Library()
    _Body(graph.node, _units(frozen.node), library, inside=False).disturb()
    originals = {f.signature.name: f.node_def for f in frozen.library.function}
    for function in graph.library.function:
        units = _units(originals[function.signature.name])
        body = _Body(function.node_def, units, library, inside=True)
        body.disturb()
        for key, ref in function.ret.items():
            function.ret[key] = body.moved(ref)
    graph.library.function.extend(library.functions)
    return graph


def _units(nodes: Nodes) -> dict[str, float]:
    """The unit roundoff of the dtype that each listed node makes, by its name; floats alone."""
    made = {n.name: n.attr[_output(n.op).type_attr].type for n in nodes if n.op in TABLE}
    return {name: ROUNDOFF[dtype] for name, dtype in made.items() if dtype in ROUNDOFF}


def _output(op: str) -> Any:
    """The definition of an op's first output."""
    return op_def_registry.get(op).output_arg[0]


class _Body:
    """The nodes of a graph, or of a function, where tensors are referred to in another way.

    In a graph a tensor is `NODE` or `NODE:2`, in a function `NODE:ARGUMENT:0` (tensorflow/core/
    framework/function.proto).
    """

    def __init__(
        self, nodes: Nodes, units: dict[str, float], library: Library, *, inside: bool
    ) -> None:
        self._nodes, self._units, self._library, self._inside = nodes, units, library, inside
        self._first: dict[str, str] = {}  # disturbed nodes, and their first output's argument

    def disturb(self) -> None:
        """Put each listed node between the calls that disturb it, in place."""
        listed = [node for node in self._nodes if node.name in self._units]
        self._first = {node.name: _output(node.op).name for node in listed}
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
        unit, types = self._units[node.name], list(_input_types(node))
        exact = node_def_pb2.NodeDef()
        exact.CopyFrom(node)
        exact.name = node.name + _EXACT
        data = [ref for ref in node.input if not ref.startswith("^")]
        given = list(data)
        if node.op not in ELEMENTWISE:
            operands = self._library.operands(node.op, node.attr, unit, types)
            before = _call(node.name + _OPERANDS, operands, data)
            yield before
            exact.input[: len(data)] = [self._output(before.name, n) for n in range(len(data))]
            given.append(self._output(before.name, len(data)))
        made = f"{exact.name}:{self._first[node.name]}:0" if self._inside else exact.name
        result = self._library.result(node.op, unit, types)
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


def _input_types(node: node_def_pb2.NodeDef) -> Iterator[int]:
    """The dtype of each data input, as the op's definition says."""
    for arg in op_def_registry.get(node.op).input_arg:
        dtype = node.attr[arg.type_attr].type if arg.type_attr else arg.type
        yield from [dtype] * (node.attr[arg.number_attr].i if arg.number_attr else 1)
