"""TFLite: flatbuffers for LiteRT on phones, servers, in browsers and on microcontrollers."""

from pathlib import Path

import numpy as np

from portproof.bundle.errors import ExportError, one_line
from portproof.bundle.manifest import Endpoint
from portproof.formats.format import Written
from portproof.formats.litert_kernels import KernelError, check_runs
from portproof.formats.savedmodel import with_same_names
from portproof.formats.table import SAVEDMODEL
from portproof.formats.tflite_conversion import converted
from portproof.sources.source import Source
from portproof.tflite.file import has_dtype
from portproof.tflite.opcodes import with_select_v2

# The dtype that a variant brings into the file.
_VARIANT_DTYPES = {"float16": "FLOAT16", "dynamic-range": "INT8", "int8": "INT8"}


def write(source: Source, root: Path, folder: str, variant: str = "") -> Written:
    """Write `root/folder/MODEL.tflite`, with all signatures under their own names.

    Where one has a dynamic batch, `MODEL.1_row.tflite` beside it has them all with one row: LiteRT
    in the browser takes no dynamic dimension, and TensorFlow Lite Micro prepares every signature of
    a file, and few ops of unknown shapes. Where the dynamic ones do not convert (because of the
    lists in a recurrent layer's loop of unknown length), only that file is there.

    Variants: `float16`, `dynamic-range` and `int8`, which has float inputs and outputs and is
    calibrated on the example inputs. Raises ExportError.
    """
    if variant == "int8" and source.generated_inputs:
        raise ExportError(
            "int8 is calibrated on the model's own data, and no example inputs were given: "
            "give some with --inputs data.npz, or inputs={...} in Python"
        )
    contents: dict[str, bytes] = {}
    notes: list[str] = []
    first_error: Exception | None = None
    batched = any(source.signatures[name].batched for name in source.functions)
    for one_row in (False, True) if batched else (False,):
        path = f"{folder}/{source.name}{'.1_row' if one_row else ''}.tflite"
        try:
            content, steps = converted(source, root / SAVEDMODEL, variant, one_row=one_row)
            contents[path] = with_select_v2(content) if one_row else content
        except Exception as error:
            first_error = first_error or error
            continue
        _check(contents[path], source, variant, one_row=one_row)
        notes += steps
    if not contents:
        assert first_error
        raise first_error
    (root / folder).mkdir()
    for path, content in contents.items():
        (root / path).write_bytes(content)
    if first_error and batched:
        notes.append(_missing_form(*contents))
    return Written(_endpoints(source, list(contents)), tuple(dict.fromkeys(notes)))


def _missing_form(path: str) -> str:
    if path.endswith(".1_row.tflite"):
        return "one row at a time: with a dynamic batch it does not convert"
    return "with a dynamic batch alone: with one row it does not convert"


def _endpoints(source: Source, paths: list[str]) -> dict[str, Endpoint]:
    endpoints = {}
    for name in source.functions:
        one_row = paths[-1] if paths[-1].endswith(".1_row.tflite") else None
        update = {"one_row": one_row, "dynamic": paths[0] != one_row}
        if not source.signatures[name].batched:
            update = {"one_row": None, "dynamic": True}
        endpoints[name] = with_same_names(paths[0], source, name).model_copy(update=update)
    return endpoints


def _check(content: bytes, source: Source, variant: str, *, one_row: bool) -> None:
    """Run each signature once in LiteRT: some files convert and do not run. Raises ExportError."""
    if variant and not has_dtype(content, _VARIANT_DTYPES[variant]):
        raise ExportError("it has no weights that this makes smaller: it would be the tflite file")
    for name in source.functions:
        inputs = dict(source.examples[name])
        if one_row and source.signatures[name].batched:
            inputs = {key: np.asarray(array[:1]) for key, array in inputs.items()}
        try:
            check_runs(content, name, inputs)
        except KernelError as error:
            reason = one_line(error, 400)
            raise ExportError(f"{name} converts, and LiteRT does not run it: {reason}") from None
