"""A frozen graph, raised to float64, in which every operation's result is off by a little.

Each node for which `oracle.op_table` has a rule is followed by a call of a small function that
moves its result up or down by the rule's amount. Some are also preceded by one that moves their
operands.
"""

from collections.abc import Collection, Iterator, Mapping, MutableSequence
from graphlib import TopologicalSorter
from typing import Any

from tensorflow.core.framework import graph_pb2
from tensorflow.core.framework.node_def_pb2 import NodeDef as Node
from tensorflow.python.framework import op_def_registry

from portproof.graphs.references import data_inputs, in_order
from portproof.oracle.disturbances import Library
from portproof.oracle.folded_biases import FoldedBias, folded_biases
from portproof.oracle.op_table import UNLISTED, rule_of, rule_of_table
from portproof.oracle.raising import input_dtypes, is_float32_only, raised
from portproof.oracle.rounding import ROUNDOFF
from portproof.oracle.rules import Contraction, Elementwise, Rule

_EXACT, _OPERANDS = "/exact", "/operands"
# Their results are about a tensor, not computed from its values.
_ABOUT = {"Shape", "ShapeN", "Size", "Rank", "ZerosLike", "OnesLike"}

Nodes = MutableSequence[Node]


def perturbed(frozen: graph_pb2.GraphDef, weights: Collection[str]) -> graph_pb2.GraphDef:
    """A raised copy of a frozen graph, disturbed as the variable `disturbances.STATE` says.

    `weights` are the constants that were variables. The names of tensors do not change: a name now
    stands for the disturbed tensor.
    """
    graph = raised(frozen)
    library = Library()
    sources = {node.name for node in frozen.node if _is_value(node) or node.name in weights}
    inputs = {n.name for n in frozen.node if n.op == "Placeholder" and n.name not in weights}
    rules = _rules(frozen.node, sources)
    biases = folded_biases(in_order(frozen.node), _dependent(frozen.node, inputs))
    _Body(graph.node, rules, biases, library, in_function=False).disturb()
    originals = {f.signature.name: f for f in frozen.library.function}
    for function in graph.library.function:
        original = originals[function.signature.name]
        sources = {arg.name for arg in original.signature.input_arg if arg.type in ROUNDOFF}
        sources |= {node.name for node in original.node_def if _is_value(node)}
        rules = _rules(original.node_def, sources)
        biases = folded_biases(in_order(original.node_def), None)
        body = _Body(function.node_def, rules, biases, library, in_function=True)
        body.disturb()
        for key, ref in function.ret.items():
            function.ret[key] = body.disturbed_ref(ref)
    graph.library.function.extend(library.functions)
    return graph


def _is_value(node: Node) -> bool:
    """Whether a node is a float input, or a constant of more than a scalar: a weight, a table."""
    dtype = node.attr["dtype"].type if "dtype" in node.attr else None
    if dtype not in ROUNDOFF:
        return False
    if node.op == "Const":
        shape = node.attr["value"].tensor.tensor_shape
        return any(dim.size != 1 for dim in shape.dim)
    return bool(node.op == "Placeholder")


def _rules(nodes: Nodes, sources: Collection[str]) -> dict[str, tuple[Rule, int]]:
    """The nodes' rules, with their output's dtype; what depends on no source has its own."""
    dependent = _dependent(nodes, sources)
    rules: dict[str, tuple[Rule, int]] = {}
    for node in nodes:
        if node.op in _ABOUT:
            continue
        depends = any(_producer(ref) in dependent for ref in node.input)
        rule = rule_of(node.op) if depends else rule_of_table(node.op)
        dtype = _output_dtype(node)
        if dtype is not None and dtype in ROUNDOFF and rule is not None:
            # A node that was not raised is several by now, of which the last has its name.
            rules[node.name] = (UNLISTED if is_float32_only(node) else rule, dtype)
    return rules


def _dependent(nodes: Nodes, sources: Collection[str]) -> set[str]:
    """The sources, and the nodes whose values are computed from theirs."""
    by_name = {node.name: node for node in nodes}
    before = {name: [_producer(ref) for ref in node.input] for name, node in by_name.items()}
    dependent = set(sources)
    for name in TopologicalSorter(before).static_order():
        node = by_name.get(name)
        if node and node.op not in _ABOUT and dependent.intersection(before[name]):
            dependent.add(name)
    return dependent


def _producer(ref: str) -> str:
    # What a node only waits for (`^NODE`) gives it no value: it keeps a name that no node has.
    return ref.split(":")[0]


def _output_dtype(node: Node) -> int | None:
    """The dtype of a node's first output; None where that is a list of tensors."""
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
        rules: Mapping[str, tuple[Rule, int]],
        biases: Mapping[str, FoldedBias],
        library: Library,
        *,
        in_function: bool,
    ) -> None:
        self._nodes, self._rules, self._biases, self._library = nodes, rules, biases, library
        self._in_function = in_function
        # Of the disturbed nodes, their first output's argument, and how many tensors they take.
        self._first: dict[str, str] = {}
        self._arguments: dict[str, int] = {}

    def disturb(self) -> None:
        """Put each node that has a rule between the calls that disturb it, in place."""
        disturbed = [node for node in self._nodes if node.name in self._rules]
        definitions = {node.name: op_def_registry.get(node.op) for node in disturbed}
        self._first = {name: op.output_arg[0].name for name, op in definitions.items()}
        self._arguments = {node.name: len(data_inputs(node)) for node in disturbed}
        added = [new for node in disturbed for new in self._wrapped(node)]
        self._nodes.extend(added)
        for node in self._nodes:
            node.input[:] = [self.disturbed_ref(ref) for ref in node.input]

    def disturbed_ref(self, ref: str) -> str:
        """What a reference to a tensor of the original has become."""
        name, _, rest = ref.partition(":")
        if name not in self._first:
            return ref
        first = f"{self._first[name]}:0" if self._in_function else ""
        return self._output(name) if rest == first else f"{name}{_EXACT}:{rest}"

    def _output(self, name: str, n: int = 0) -> str:
        """A reference to an output of a call."""
        if self._in_function:
            return f"{name}:output:{n}"
        return f"{name}:{n}" if n else name

    def _bias(self, name: str) -> FoldedBias | None:
        bias = self._biases.get(name)
        rule, _ = self._rules.get(bias.products, (None, 0)) if bias else (None, 0)
        return bias if isinstance(rule, Contraction) else None

    def _wrapped(self, node: Node) -> Iterator[Node]:
        """The nodes that come before this one, which becomes the last of them: a call."""
        (rule, dtype), dtypes = self._rules[node.name], list(input_dtypes(node))
        exact = Node()
        exact.CopyFrom(node)
        exact.name = node.name + _EXACT
        data = data_inputs(node)
        arguments = list(data)
        if not isinstance(rule, Elementwise):
            operands = self._library.operands(rule, node.attr, dtype, dtypes)
            before = _call(node.name + _OPERANDS, operands, data)
            yield before
            exact.input[: len(data)] = [self._output(before.name, n) for n in range(len(data))]
            arguments.append(self._output(before.name, len(data)))
        bias = self._bias(node.name)
        if bias:  # one more result of the sum's operands: how far a first term moves it
            sum_operands = bias.products + _OPERANDS
            arguments.append(self._output(sum_operands, self._arguments[bias.products] + 1))
        output = f"{exact.name}:{self._first[node.name]}:0" if self._in_function else exact.name
        result = self._library.result(rule, dtype, dtypes, bias.operand if bias else None)
        yield exact
        node.CopyFrom(_call(node.name, result, [*arguments, output]))


def _call(name: str, function: Any, inputs: list[str]) -> Node:
    """A call of a library function."""
    node = Node(name=name, op="StatefulPartitionedCall", input=inputs)
    signature = function.signature
    node.attr["f"].func.name = signature.name
    node.attr["Tin"].list.type.extend(arg.type for arg in signature.input_arg)
    node.attr["Tout"].list.type.extend(arg.type for arg in signature.output_arg)
    return node
