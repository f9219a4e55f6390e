"""How many rows a model's test vectors may have, so that a large one is proven in minutes too."""

from typing import Any

import numpy as np
import tensorflow as tf

from portproof.bundle.signature import Signature
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


def row_limit(signature: Signature, concrete: Any, row: dict[str, np.ndarray[Any, Any]]) -> int:
    """Rows that a case may have, between `MIN_ROWS` and `MAX_ROWS`; by counting, so always equal.

    Args:
        signature: The signature. One that is not batched has one row.
        concrete: Its concrete function.
        row: One row of example inputs.
    """
    if not signature.batched:
        return 1
    elements = sum(array.size for array in row.values())
    operations = _operations(concrete, row)
    limit = min(MAX_ELEMENTS // max(elements, 1), int(MAX_OPERATIONS // max(operations, 1)))
    return min(max(limit, MIN_ROWS), MAX_ROWS)


def _operations(concrete: Any, row: dict[str, np.ndarray[Any, Any]]) -> float:
    """Floating-point operations for one row, as TensorFlow's profiler counts them in the graph.

    What it costs the oracle to disturb each element of each result is added.
    """
    specs = {n: tf.TensorSpec((1, *a.shape[1:]), a.dtype, name=n) for n, a in row.items()}
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
    return float(profile.total_float_ops) + DISTURBING_COST * results
