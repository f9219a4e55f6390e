"""The table of rewrites: operations that a format lacks, in operations that every backend has.

Each is a function of a node and its inputs (see graphs/splicing.py) and gives the same values up to
rounding. The note tells in the manifest what was done.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

from tensorflow.core.framework import graph_pb2

from portproof.graphs.rewrites.convolution import grouped_convolution
from portproof.graphs.rewrites.einsum import einsum
from portproof.graphs.rewrites.elementwise import (
    band_part,
    bias_add,
    cumulated,
    one_hot,
    softsign,
    transpose,
)
from portproof.graphs.rewrites.error_function import erf, erfc, erfc_in_one
from portproof.graphs.rewrites.micro import select, tile
from portproof.graphs.rewrites.pooling import average_pool_3d, max_pool_3d
from portproof.graphs.splicing import Rewrite, spliced


@dataclass(frozen=True)
class Row:
    """A rewrite, and what it does in words."""

    rewrite: Rewrite
    note: str


Table = dict[str, Row]


ONNX: Table = {
    "Erfc": Row(erfc_in_one, "Erfc, which tf2onnx does not know, by a polynomial and exp"),
}

TFJS: Table = {
    "Erf": Row(erf, "Erf by W. J. Cody's rational functions: TF.js's own is off by 1.5e-7"),
    "Erfc": Row(erfc, "Erfc, which TF.js does not have, by W. J. Cody's rational functions"),
    "MatrixBandPart": Row(
        band_part, "MatrixBandPart, which TF.js gets wrong for booleans, by comparing indices"
    ),
    "Softsign": Row(softsign, "Softsign, which TF.js's converter does not have, by x / (1 + |x|)"),
    "Transpose": Row(transpose, "Transpose of booleans, which WebGPU gets wrong, by way of floats"),
    "MaxPool3D": Row(
        max_pool_3d, "MaxPool3D, of which WASM gets negative windows wrong, by two 2-D pools"
    ),
    "BiasAdd": Row(
        bias_add, "BiasAdd to the second axis, which TF.js adds to the last one, by a sum"
    ),
    "OneHot": Row(
        one_hot, "OneHot of floats, to which WASM gives the bits of integers, by comparisons"
    ),
    **{
        op: Row(cumulated, f"{op} along an axis that TF.js would count wrongly")
        for op in ("Cumsum", "Cumprod")
    },
    "Conv2D": Row(
        grouped_convolution, "Conv2D in groups, which TF.js does not have, by one for each group"
    ),
    "Einsum": Row(einsum, "Einsum, which the WASM backend does not have, by matrix products"),
}

# In every TFLite file.
TFLITE_ALWAYS: Table = {
    "OneHot": Row(
        one_hot,
        "OneHot of floats, which int8 gets wrong, by comparisons",
    ),
}

TFLITE: Table = {
    "MaxPool3D": Row(max_pool_3d, "MaxPool3D, which LiteRT does not have, by two 2-D pools"),
    "AvgPool3D": Row(average_pool_3d, "AvgPool3D, which LiteRT does not have, by two 2-D pools"),
}

# Where nothing else converts: of what is left of them the converter makes GELU.
TFLITE_ERF: Table = {
    "Erf": Row(erf, "Erf, which LiteRT does not have, by W. J. Cody's rational functions"),
    "Erfc": Row(erfc, "Erfc, which LiteRT does not have, by W. J. Cody's rational functions"),
}

# Only for the file of one row, which is the one that microcontrollers run.
MICRO: Table = {
    "SelectV2": Row(select, "SelectV2 of integers, which TensorFlow Lite Micro lacks, by products"),
    "Tile": Row(tile, "Tile, which TensorFlow Lite Micro does not have, by concatenation"),
}


def rewritten(
    graph: graph_pb2.GraphDef, table: Table
) -> tuple[graph_pb2.GraphDef, tuple[str, ...]]:
    """A frozen graph with the table's rewrites applied, and the notes of those that were."""
    applied: set[str] = set()

    def noted(op: str, node: Any, inputs: Any) -> Any:
        outputs = table[op].rewrite(node, inputs)
        if outputs is not None:
            applied.add(op)
        return outputs

    result = spliced(graph, {op: partial(noted, op) for op in table})
    return result, tuple(row.note for op, row in table.items() if op in applied)
