"""A TFLite file's opcodes, changed in place."""

import struct

from ai_edge_litert import schema_py_generated as schema

_OLD, _NEW = schema.BuiltinOperator.SELECT, schema.BuiltinOperator.SELECT_V2
# Offsets of the fields in OperatorCode's vtable (tensorflow/compiler/mlir/lite/schema/schema.fbs).
_DEPRECATED, _BUILTIN = 4, 10


def with_select_v2(content: bytes) -> bytes:
    """The file with `SELECT_V2` for `SELECT`, which does the same for equal shapes.

    The converter writes the older one where nothing is broadcast, and TensorFlow Lite Micro has
    only the newer one. LiteRT has both for the same dtypes.
    """
    changed = bytearray(content)
    model = schema.Model.GetRootAs(changed, 0)
    for n in range(model.OperatorCodesLength()):
        code = model.OperatorCodes(n)
        if _OLD not in (code.BuiltinCode(), code.DeprecatedBuiltinCode()):
            continue
        table = code._tab
        for field, form in ((_DEPRECATED, "<b"), (_BUILTIN, "<i")):
            if offset := table.Offset(field):
                struct.pack_into(form, changed, table.Pos + offset, _NEW)
    return bytes(changed)
