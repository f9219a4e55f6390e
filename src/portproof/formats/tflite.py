"""TFLite: flatbuffers for LiteRT on phones, servers, in browsers and on microcontrollers."""

from itertools import chain
from pathlib import Path

import numpy as np

from portproof.bundle.errors import ExportError, one_line
from portproof.bundle.manifest import Endpoint
from portproof.formats.format import Written
from portproof.formats.litert_kernels import Kernels, borrowed
from portproof.formats.savedmodel import with_same_names
from portproof.formats.table import SAVEDMODEL
from portproof.formats.tflite_conversion import converted
from portproof.formats.variant_budgets import KernelError
from portproof.sources.source import SavedSource
from portproof.tflite.file import computed_names, has_dtype
from portproof.tflite.one_row import shapes, with_one_row
from portproof.tflite.opcodes import with_select_v2

# The dtype that a variant brings into the file.
_VARIANT_DTYPES = {"float16": "FLOAT16", "dynamic-range": "INT8", "int8": "INT8"}


def write(source: SavedSource, root: Path, folder: str, variant: str = "") -> Written:
    """Write `root/folder/MODEL.tflite`, with all signatures under their own names.

    Where one has a dynamic batch, and files of one row are wanted, `MODEL.1_row.tflite` beside it
    has them all with one row: LiteRT in the browser takes no dynamic dimension, and TensorFlow Lite
    Micro prepares every signature of a file, and few ops of unknown shapes. Where the dynamic ones
    do not convert (because of the lists in a recurrent layer's loop of unknown length), only that
    file is there.

    Variants: `float16`, `dynamic-range` and `int8`, which has float inputs and outputs and is
    calibrated on the example inputs. Raises ExportError.
    """
    if variant == "int8" and source.generated_inputs:
        raise ExportError(
            "int8 is calibrated on the model's own data, and no example inputs were given: "
            "give some with --inputs data.npz, or inputs={...} in Python"
        )
    files = _Files(source, root / SAVEDMODEL, variant)
    with borrowed() as kernels:
        files.make(kernels)
    if not files.contents:
        assert files.first_error
        raise files.first_error
    (root / folder).mkdir()
    paths = []
    for one_row, content in files.contents.items():
        paths.append(f"{folder}/{source.name}{'.1_row' if one_row else ''}.tflite")
        (root / paths[-1]).write_bytes(content)
    if files.first_error and files.batched:
        files.notes.append(_missing_form(*paths))
    if variant and source.keep_float:
        places = [computed_names(content).values() for content in files.contents.values()]
        files.notes.append(source.kept_note(chain.from_iterable(places)))
    return Written(_endpoints(source, paths), tuple(dict.fromkeys(files.notes)))


class _Files:
    """The contents of one variant's files: by whether it is the one for one row."""

    def __init__(self, source: SavedSource, saved_model: Path, variant: str) -> None:
        self._source, self._saved_model, self._variant = source, saved_model, variant
        self.batched = any(signature.batched for signature in source.signatures.values())
        self.contents: dict[bool, bytes] = {}
        self.notes: list[str] = []
        self.first_error: Exception | None = None

    def make(self, kernels: Kernels) -> None:
        """Convert, and run each file once. Raises ExportError where one does not run."""
        for one_row in (False, True) if self.batched else (False,):
            if one_row and self.contents and not self._source.one_row:
                continue
            try:
                content, notes = self._converted(kernels, one_row)
            except Exception as error:
                self.first_error = self.first_error or error
                continue
            _check(kernels, content, self._source, self._variant, one_row=one_row)
            self.contents[one_row] = content
            self.notes += notes

    def _converted(self, kernels: Kernels, one_row: bool) -> tuple[bytes, list[str]]:
        dynamic = self.contents.get(False)
        if one_row and dynamic and (content := _same_for_one_row(kernels, self._source, dynamic)):
            return content, []
        content, notes = converted(self._source, self._saved_model, self._variant, one_row=one_row)
        return with_select_v2(content) if one_row else content, notes


def _same_for_one_row(kernels: Kernels, source: SavedSource, dynamic: bytes) -> bytes | None:
    """A dynamic file for one row, where its tensors have then the shapes that it says."""
    content = with_one_row(dynamic)
    if content is None:
        return None
    [(name, examples)] = source.examples.items()
    expected = shapes(content)
    row = {key: np.asarray(array[:1]) for key, array in examples.items()}
    try:
        inner = kernels.inner_tensors(content, name, row)
    except KernelError:
        return None
    right = [array.shape == expected.get(tensor) for tensor, array in inner.items()]
    return content if right and all(right) else None


def _missing_form(path: str) -> str:
    if path.endswith(".1_row.tflite"):
        return "one row at a time: with a dynamic batch it does not convert"
    return "with a dynamic batch alone: with one row it does not convert"


def _endpoints(source: SavedSource, paths: list[str]) -> dict[str, Endpoint]:
    endpoints = {}
    for name in source.signatures:
        one_row = paths[-1] if paths[-1].endswith(".1_row.tflite") else None
        update = {"one_row": one_row, "dynamic": paths[0] != one_row}
        if not source.signatures[name].batched:
            update = {"one_row": None, "dynamic": True}
        endpoints[name] = with_same_names(paths[0], source, name).model_copy(update=update)
    return endpoints


def _check(
    kernels: Kernels, content: bytes, source: SavedSource, variant: str, *, one_row: bool
) -> None:
    """Run each signature once in LiteRT: some files convert and do not run. Raises ExportError."""
    if variant and not has_dtype(content, _VARIANT_DTYPES[variant]):
        raise ExportError("it has no weights that this makes smaller: it would be the tflite file")
    for name, signature in source.signatures.items():
        inputs = dict(source.examples[name])
        if signature.batched:
            rows = 1 if one_row else 2
            inputs = {key: np.asarray(array[:rows]) for key, array in inputs.items()}
        try:
            kernels.check_runs(content, name, inputs)
        except KernelError as error:
            reason = one_line(error, 400)
            raise ExportError(f"{name} converts, and LiteRT does not run it: {reason}") from None
