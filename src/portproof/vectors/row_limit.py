"""How many rows a model's test vectors may have, so that a large one is proven in minutes too."""

from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from portproof.bundle.tensors import Arrays
from portproof.graphs.freezing import freeze
from portproof.oracle.op_table import rule_of
from portproof.quiet import quiet

# For one case: floating-point operations of the model, and elements of its inputs. The oracle
# evaluates it some twenty times, and every runtime once, JavaScript among them.
MAX_OPERATIONS = 1e9
MAX_ELEMENTS = 1 << 22
# The oracle's cost of disturbing one element of a result, in operations of a product in float64
# (measured on MobileNetV2 and ResNet50V2: some 10 ns beside 0.2).
DISTURBING_COST = 50
MIN_ROWS, MAX_ROWS = 4, 1000


@dataclass(frozen=True)
class Cost:
    """What one row costs, by counting, so that it is always equal.

    Attributes:
        operations: The model's floating-point operations.
        results: The elements of all results that are rounded, each of which the oracle disturbs.
    """

    operations: float
    results: int


def row_limit(row: Arrays, cost: Cost) -> int:
    """Rows that a case may have, between `MIN_ROWS` and `MAX_ROWS`.

    Args:
        row: One row of example inputs; of a signature that is not batched, the inputs of a call.
        cost: What it costs.
    """
    elements = sum(array.size for array in row.values())
    operations = cost.operations + DISTURBING_COST * cost.results
    limit = min(MAX_ELEMENTS // max(elements, 1), int(MAX_OPERATIONS // max(operations, 1)))
    return min(max(limit, MIN_ROWS), MAX_ROWS)


def cost_of(concrete: Any, row: Arrays) -> Cost:
    """What one row of a concrete function costs; operations as TensorFlow's profiler counts them.

    Args:
        concrete: The concrete function.
        row: See `row_limit`.
    """
    specs = {n: tf.TensorSpec(a.shape, a.dtype, name=n) for n, a in row.items()}
    function = tf.function(lambda **inputs: concrete(**inputs), autograph=False)
    frozen = freeze(function.get_concrete_function(**specs))
    graph = tf.Graph()
    with graph.as_default():
        tf.graph_util.import_graph_def(frozen.graph, name="")
    builder = tf.compat.v1.profiler.ProfileOptionBuilder
    options = builder(builder.float_operation()).with_empty_output().build()
    with quiet():  # it lists the ops whose shapes it does not know
        profile = tf.compat.v1.profiler.profile(graph=graph, cmd="op", options=options)
    rounded = [
        operation.outputs[0]
        for operation in graph.get_operations()
        if operation.outputs and rule_of(operation.type)
    ]
    results = sum(tensor.shape.num_elements() or 0 for tensor in rounded)
    return Cost(float(profile.total_float_ops), results)
