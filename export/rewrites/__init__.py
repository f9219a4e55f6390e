"""The table of rewrites: operations that a format lacks, in operations that every backend has.

Each is a function of a node and its inputs (see oracle/splicing.py), and of the same values up to
rounding, or it says how far it is off. The note says in the manifest what was done.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

from tensorflow.core.framework import graph_pb2

from export.rewrites.band_part import band_part
from export.rewrites.booleans import transpose
from export.rewrites.einsum import einsum
from export.rewrites.error_function import erf, erfc
from export.rewrites.micro import select, tile
from export.rewrites.softsign import softsign
from oracle.lowering import average_pool_3d, max_pool_3d
from oracle.splicing import Rewrite, spliced


@dataclass(frozen=True)
class Row:
    """A rewrite, and what it does in words."""

    rewrite: Rewrite
    note: str


TFJS = {
    "Erf": Row(erf, "Erf by W. J. Cody's rational functions: TF.js's own is off by 1.5e-7"),
    "Erfc": Row(erfc, "Erfc, which TF.js does not have, by W. J. Cody's rational functions"),
    "MatrixBandPart": Row(
        band_part, "MatrixBandPart, which TF.js gets wrong of booleans, by comparing indices"
    ),
    "Softsign": Row(softsign, "Softsign, which the converter does not have, by x / (1 + |x|)"),
    "Transpose": Row(transpose, "Transpose of booleans, which WebGPU gets wrong, by way of floats"),
    "Einsum": Row(einsum, "Einsum, which the WASM backend does not have, by matrix products"),
}

TFLITE = {
    "MaxPool3D": Row(max_pool_3d, "MaxPool3D, which LiteRT does not have, by slices and maxima"),
    "AvgPool3D": Row(average_pool_3d, "AvgPool3D, which LiteRT does not have, by slices and sums"),
}

# For the file of one row alone, which is the one that microcontrollers run.
MICRO = {
    "SelectV2": Row(select, "SelectV2 of integers, which TensorFlow Lite Micro lacks, by products"),
    "Tile": Row(tile, "Tile, which TensorFlow Lite Micro does not have, by concatenation"),
}


def rewritten(
    graph: graph_pb2.GraphDef, table: dict[str, Row]
) -> tuple[graph_pb2.GraphDef, tuple[str, ...]]:
    """A frozen graph with the table's rewrites done, and a note for each."""
    done: set[str] = set()

    def noted(op: str, node: Any, inputs: Any) -> Any:
        made = table[op].rewrite(node, inputs)
        if made is not None:
            done.add(op)
        return made

    made = spliced(graph, {op: partial(noted, op) for op in table})
    return made, tuple(row.note for op, row in table.items() if op in done)
