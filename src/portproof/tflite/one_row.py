"""A TFLite file for any number of rows, made one for exactly one row without another conversion."""

import struct

from ai_edge_litert import schema_py_generated as schema

# Ops that compute with shapes or keep functions apart, which a conversion for one row may leave
# out; and those that TensorFlow Lite Micro lacks, which such a conversion may write otherwise.
_OF_SHAPES = ("SHAPE", "RANK", "WHILE", "IF", "CALL_ONCE", "WHERE", "UNIQUE")
_NOT_IN_MICRO = ("TILE", "SELECT", "SELECT_V2")
_OTHERS = frozenset(getattr(schema.BuiltinOperator, name) for name in _OF_SHAPES + _NOT_IN_MICRO)
# The offset of `shape_signature` in a Tensor's vtable (tensorflow/compiler/mlir/lite/schema/
# schema.fbs). The converter writes 1 for a dynamic dimension into `shape`, and -1 here.
_SHAPE_SIGNATURE = 18


def with_one_row(content: bytes) -> bytes | None:
    """The file with 1 for the dynamic first dimension of every tensor, of the same size.

    That is the right shape of a tensor only if its first dimension is the rows, which is to be
    checked by running the file (`shapes`). None where a conversion for one row may give another
    graph: with several functions, with ops that compute with shapes, with other dynamic dimensions.
    """
    changed = bytearray(content)
    model = schema.Model.GetRootAs(changed, 0)
    codes = [model.OperatorCodes(n) for n in range(model.OperatorCodesLength())]
    if model.SubgraphsLength() != 1 or any(_number(code) in _OTHERS for code in codes):
        return None
    graph = model.Subgraphs(0)
    for n in range(graph.TensorsLength()):
        table = graph.Tensors(n)._tab
        signature = graph.Tensors(n).ShapeSignatureAsNumpy()
        if isinstance(signature, int) or not len(signature):  # 0: the tensor has none
            continue
        if (signature[1:] < 0).any():
            return None
        if signature[0] < 0:
            struct.pack_into("<i", changed, table.Vector(table.Offset(_SHAPE_SIGNATURE)), 1)
    return bytes(changed)


def _number(code: schema.OperatorCode) -> int:
    return max(int(code.BuiltinCode()), int(code.DeprecatedBuiltinCode()))


def shapes(content: bytes) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor of a file with one subgraph, by its name."""
    graph = schema.Model.GetRootAs(content, 0).Subgraphs(0)
    tensors = [graph.Tensors(n) for n in range(graph.TensorsLength())]
    return {t.Name().decode(): tuple(t.Shape(n) for n in range(t.ShapeLength())) for t in tensors}
