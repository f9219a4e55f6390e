"""TFLite: flatbuffers for LiteRT on phones, servers, in browsers and on microcontrollers."""

from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from bundle.errors import ExportError, one_line
from bundle.manifest import Endpoint
from export.formats import SAVEDMODEL
from export.formats.format import Written
from export.formats.savedmodel import unchanged
from export.formats.tflite_conversion import converted
from export.formats.tflite_opcodes import with_select_v2
from export.quiet import quiet
from export.source import Source

# The dtype that a variant brings into the file.
_MAKES = {
    "float16": schema.TensorType.FLOAT16,
    "dynamic-range": schema.TensorType.INT8,
    "int8": schema.TensorType.INT8,
}


def write(source: Source, root: Path, folder: str, variant: str = "") -> Written:
    """Write `root/folder/MODEL.tflite`, with all signatures under their own names.

    Where one has a dynamic batch, `MODEL.1_row.tflite` beside it has them all with one row: LiteRT
    in the browser takes no dynamic dimension, and TensorFlow Lite Micro prepares every signature of
    a file, and few ops of unknown shapes. Where the dynamic ones do not convert (the lists in a
    recurrent layer's loop, whose length is not known), that file is there alone. Variants:
    `float16`, `dynamic-range` and `int8`, which has float inputs and outputs and is calibrated on
    the example inputs. Raises ExportError.
    """
    if variant == "int8" and source.drawn:
        raise ExportError(
            "int8 is calibrated on the model's own data, and no example inputs were given: "
            "give some with --inputs data.npz, or inputs={...} in Python"
        )
    contents: dict[str, bytes] = {}
    notes: list[str] = []
    refused: Exception | None = None
    batched = any(source.signatures[name].batched for name in source.functions)
    for one_row in (False, True) if batched else (False,):
        path = f"{folder}/{source.name}{'.1_row' if one_row else ''}.tflite"
        try:
            content, done = converted(source, root / SAVEDMODEL, variant, one_row=one_row)
            contents[path] = with_select_v2(content) if one_row else content
        except Exception as error:
            refused = refused or error
            continue
        _check(contents[path], source, variant, one_row=one_row)
        notes += done
    if not contents:
        assert refused
        raise refused
    (root / folder).mkdir()
    for path, content in contents.items():
        (root / path).write_bytes(content)
    if refused and batched:
        notes.append(_one_form(*contents))
    return Written(_endpoints(source, list(contents)), tuple(dict.fromkeys(notes)))


def _one_form(path: str) -> str:
    if path.endswith(".1_row.tflite"):
        return "one row at a time: with a dynamic batch it does not convert"
    return "with a dynamic batch alone: with one row it does not convert"


def _endpoints(source: Source, paths: list[str]) -> dict[str, Endpoint]:
    found = {}
    for name in source.functions:
        one_row = paths[-1] if paths[-1].endswith(".1_row.tflite") else None
        update = {"one_row": one_row, "dynamic": paths[0] != one_row}
        if not source.signatures[name].batched:
            update = {"one_row": None, "dynamic": True}
        found[name] = unchanged(paths[0], source, name).model_copy(update=update)
    return found


def _check(content: bytes, source: Source, variant: str, *, one_row: bool) -> None:
    """Run each signature once in LiteRT. Raises ExportError where the file converts and fails."""
    if variant and not _has(content, _MAKES[variant]):
        raise ExportError("it has no weights that this makes smaller: it would be the tflite file")
    with quiet():
        interpreter = Interpreter(model_content=content)
    for name in source.functions:
        inputs = dict(source.examples[name])
        if one_row and source.signatures[name].batched:
            inputs = {key: np.asarray(array[:1]) for key, array in inputs.items()}
        try:
            interpreter.get_signature_runner(name)(**inputs)
        except (RuntimeError, ValueError) as error:
            reason = one_line(error, 400)
            raise ExportError(f"{name} converts, and LiteRT does not run it: {reason}") from None


def _has(content: bytes, dtype: int) -> bool:
    """Whether a file has a tensor of a dtype."""
    model = schema.Model.GetRootAs(content, 0)
    graphs = [model.Subgraphs(n) for n in range(model.SubgraphsLength())]
    return any(g.Tensors(n).Type() == dtype for g in graphs for n in range(g.TensorsLength()))
