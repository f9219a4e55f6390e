"""How many rows a model's test vectors may have, so that a large one is proven in minutes too."""

from typing import Any

import numpy as np
import tensorflow as tf

from bundle.signature import Signature
from export.quiet import quiet
from oracle import rounding
from oracle.frozen import freeze

# Of one case: floating-point operations of the model, and elements of its inputs. The oracle
# evaluates it some twenty times, and so does every runtime once, JavaScript among them.
OPERATIONS = 1e9
ELEMENTS = 1 << 22
# What disturbing one element of a result costs the oracle, in operations of a product in float64
# (measured on MobileNetV2 and ResNet50V2: some 10 ns beside 0.2).
DISTURBED = 50
LEAST, MOST = 4, 1000


def most_rows(signature: Signature, concrete: Any, row: dict[str, np.ndarray[Any, Any]]) -> int:
    """Rows that a case may have, between `LEAST` and `MOST`; by counting, so always the same."""
    if not signature.batched:
        return 1
    size = sum(array.size for array in row.values())
    fitting = min(ELEMENTS // max(size, 1), int(OPERATIONS // max(_operations(concrete, row), 1)))
    return min(max(fitting, LEAST), MOST)


def _operations(concrete: Any, row: dict[str, np.ndarray[Any, Any]]) -> float:
    """Floating-point operations for one row, as TensorFlow's profiler counts them in the graph.

    And as many for each element of a result as it costs the oracle to disturb it.
    """
    specs = {n: tf.TensorSpec((1, *a.shape[1:]), a.dtype, name=n) for n, a in row.items()}
    function = tf.function(lambda **inputs: concrete(**inputs), autograph=False)
    frozen = freeze(function.get_concrete_function(**specs))
    graph = tf.Graph()
    with graph.as_default():
        tf.graph_util.import_graph_def(frozen.graph, name="")
    builder = tf.compat.v1.profiler.ProfileOptionBuilder
    options = builder(builder.float_operation()).with_empty_output().build()
    with quiet():  # it names the ops whose shapes it does not know
        counted = tf.compat.v1.profiler.profile(graph=graph, cmd="op", options=options)
    rounded = [o.outputs[0] for o in graph.get_operations() if o.outputs and rounding.row(o.type)]
    results = sum(tensor.shape.num_elements() or 0 for tensor in rounded)
    return float(counted.total_float_ops) + DISTURBED * results
