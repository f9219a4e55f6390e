"""Functions that are made of graphs: frozen, changed, and callable again."""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf
from tensorflow.core.framework import graph_pb2

from portproof.graphs.freezing import freeze, with_weights

# A frozen graph, and the names of the nodes that have to stay in it -> what it becomes.
Change = Callable[[graph_pb2.GraphDef, list[str]], graph_pb2.GraphDef]


def operations(graph: Any) -> Iterator[Any]:
    """A graph's operations, and those of the functions that it calls."""
    yield from graph.get_operations()
    for function in graph._functions.values():  # which has no public name
        inner = getattr(function, "graph", None)
        if inner is not None:
            yield from inner.get_operations()


def for_one_row(concrete: Any) -> Any:
    """The same flat function for one row: its first dimension, dynamic until then, is 1."""
    specs = {
        name: tf.TensorSpec([1, *spec.shape[1:]], spec.dtype, name=name)
        for name, spec in concrete.structured_input_signature[1].items()
    }
    function = tf.function(lambda **inputs: concrete(**inputs), autograph=False)
    return function.get_concrete_function(**specs)


def changed(concrete: Any, change: Change) -> Any:
    """A flat function, with named outputs, of the frozen and changed graph of another one."""
    frozen = freeze(concrete, inline=True)
    ends = [tensor.op.name for tensor in (*frozen.inputs.values(), *frozen.outputs)]
    whole = with_weights(frozen.graph, frozen.weights)
    graph = _with_unique_functions(change(whole, ends))
    specs = concrete.structured_input_signature[1]
    placeholders = {name: tensor.name for name, tensor in frozen.inputs.items()}
    outputs = [tensor.name for tensor in frozen.outputs]
    names = sorted(concrete.structured_outputs)

    def imported(**inputs: Any) -> dict[str, Any]:
        feed = {placeholders[name]: tensor for name, tensor in inputs.items()}
        tensors = tf.graph_util.import_graph_def(
            graph, input_map=feed, return_elements=outputs, name=""
        )
        return dict(zip(names, tensors, strict=True))

    return tf.function(imported, autograph=False).get_concrete_function(**specs)


def _with_unique_functions(graph: graph_pb2.GraphDef) -> graph_pb2.GraphDef:
    """Library functions named by their content: TensorFlow keeps one function of a name."""
    names = {f.signature.name: f"{f.signature.name}_{_digest(f)}" for f in graph.library.function}
    for function in graph.library.function:
        function.signature.name = names[function.signature.name]
        _rename_calls(function.node_def, names)
    _rename_calls(graph.node, names)
    return graph


def _digest(message: Any) -> str:
    return hashlib.sha256(message.SerializeToString(deterministic=True)).hexdigest()[:8]


def _rename_calls(nodes: Any, names: dict[str, str]) -> None:
    for node in nodes:
        for attr in node.attr.values():
            for function in (attr.func, *attr.list.func) if attr.WhichOneof("value") else ():
                if function.name in names:
                    function.name = names[function.name]
