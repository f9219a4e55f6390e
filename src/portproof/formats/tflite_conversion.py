"""From a SavedModel to TFLite.

TensorFlow's converter does not take every graph, so there are several ways to prepare one for it:
as it is but for some ops, with its loops written out, and so on. They are tried in order.
"""

import functools
import shutil
import tempfile
import warnings
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.lite.python.convert import mlir_quantize

from portproof.bundle import temporary
from portproof.bundle.errors import ExportError
from portproof.graphs import checks, functions, lookup_tables, tensor_lists, unrolling
from portproof.graphs.rewrites.table import (
    MICRO,
    TFLITE,
    TFLITE_ALWAYS,
    TFLITE_ERF,
    Table,
    rewritten,
)
from portproof.quiet import quiet
from portproof.sources.source import SavedSource
from portproof.tflite.file import computed_names
from portproof.tflite.float_weights import with_float_weights

# A signature's function -> the function to convert, and what was done to it in words.
Way = Callable[[Any], tuple[Any, list[str]]]
# The same for a graph.
GraphStep = Callable[[Any], tuple[Any, list[str]]]

# TensorFlow's calibrator would end the whole process, with no exception.
_CALIBRATION = (
    "int8 is calibrated by TensorFlow's calibrator, which crashes at a loop ({}): give the "
    "sequence a fixed length"
)


def converted(
    source: SavedSource, saved_model: Path, variant: str, *, one_row: bool
) -> tuple[bytes, list[str]]:
    """Convert a model, preparing its graph in the first way that the converter takes.

    The way that served the plain file is where the variants of the same export start.

    Args:
        source: The model.
        saved_model: The folder of its SavedModel.
        variant: "" for plain float32, or "float16", "dynamic-range", "int8".
        one_row: Whether batched signatures get exactly one row.

    Returns:
        The file's content, and in words what was done to the graph.

    Raises the error of the first way where none converts.
    """
    forms = _forms(saved_model)
    first_error: Exception | None = None
    for way in range(forms.first_way[one_row], len(_ways(one_row))):
        try:
            form = forms.by_way(source, way, one_row)
            if form.notes in forms.tried(way, one_row):
                continue  # this way changed nothing more, so the graph is one that was refused
            content = _convert(source, form, variant)
        except Exception as error:
            first_error = first_error or error
        else:
            if not variant:
                forms.first_way[one_row] = way
            return content, form.notes
    assert first_error
    raise first_error


@dataclass(frozen=True)
class _Form:
    """A SavedModel to convert: its folder, what was done in words, and the name of a loop in it."""

    folder: str
    notes: list[str]
    loop: str


class _Forms:
    """The forms of a SavedModel by each way, made once: all variants are converted from them.

    `first_way` is the first way to try, with one row and without: the one that converted to plain
    float32.
    """

    def __init__(self, saved_model: Path) -> None:
        self._saved_model = str(saved_model)
        self._scratch = tempfile.mkdtemp(dir=temporary.root())
        weakref.finalize(self, shutil.rmtree, self._scratch, ignore_errors=True)
        self._forms: dict[tuple[bool, int], _Form] = {}
        self.first_way = {False: 0, True: 0}

    def by_way(self, source: SavedSource, way: int, one_row: bool) -> _Form:
        if (one_row, way) not in self._forms:
            self._forms[one_row, way] = self._make(source, way, one_row)
        return self._forms[one_row, way]

    def tried(self, way: int, one_row: bool) -> list[list[str]]:
        """The notes of the ways before this one."""
        return [self._forms[one_row, n].notes for n in range(way) if (one_row, n) in self._forms]

    def _make(self, source: SavedSource, way: int, one_row: bool) -> _Form:
        module = tf.saved_model.load(self._saved_model)
        changed, notes = {}, []
        tables = any(_has_tables(module.signatures[name]) for name in source.signatures)
        for name in source.signatures:
            function = module.signatures[name]
            if one_row and source.signatures[name].batched:
                function = functions.for_one_row(function)
            changed[name], steps = _ways(one_row)[way](function)
            if tables and changed[name] is function:
                changed[name], _ = _changed(function, lambda graph: (graph, []), {})
            notes += steps
        loop = next((o.name for f in changed.values() for o in _loops(f)), "")
        if tables:  # the converter would write those of the module too, which nothing uses now
            module, notes = tf.Module(), [lookup_tables.NOTE, *notes]
        if not (one_row or notes):
            return _Form(self._saved_model, [], loop)
        folder = f"{self._scratch}/{way}{'-1_row' if one_row else ''}"
        with quiet(show_on_error=False):
            # Gradients are of no use here, and some cannot be traced again.
            options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
            tf.saved_model.save(module, folder, signatures=changed, options=options)
        return _Form(folder, notes, loop)


@functools.lru_cache(maxsize=1)
def _forms(saved_model: Path) -> _Forms:
    """Of the model that is being exported: each export has a folder of its own."""
    return _Forms(saved_model)


def _ways(one_row: bool) -> list[Way]:
    always = {**TFLITE_ALWAYS, **(MICRO if one_row else {})}
    ways: list[Way] = [
        partial(_rewritten, table=always),
        partial(_unrolled, table={**always, **TFLITE}),
        partial(_unrolled, table={**always, **TFLITE, **TFLITE_ERF}),
    ]
    if one_row:
        ways.append(partial(_with_lists_of_one_row, table={**always, **TFLITE}))
    return ways


def _rewritten(function: Any, table: Table) -> tuple[Any, list[str]]:
    """As it is, but for the ops of a table: untouched where it has none of them."""
    if not any(operation.type in table for operation in functions.operations(function.graph)):
        return function, []
    return _changed(function, lambda graph: (graph, []), table)


def _unrolled(function: Any, table: Table) -> tuple[Any, list[str]]:
    """With loops of known length written out, and the ops of a table in others."""

    def unroll(graph: Any) -> tuple[Any, list[str]]:
        result = unrolling.unrolled(graph)
        return result, [] if result is graph else [unrolling.NOTE]

    return _changed(function, unroll, table)


def _with_lists_of_one_row(function: Any, table: Table) -> tuple[Any, list[str]]:
    """With loops kept, and the lists of tensors in them sized for one row."""

    def size(graph: Any) -> tuple[Any, list[str]]:
        return tensor_lists.sized_for_one_row(graph), [tensor_lists.NOTE]

    return _changed(function, size, table)


def _changed(function: Any, first: GraphStep, table: Table) -> tuple[Any, list[str]]:
    notes: list[str] = []

    def change(graph: Any, ends: list[str]) -> Any:
        graph, left_out = checks.stripped(graph, ends)
        graph, steps = first(graph)
        result, rewrites = rewritten(graph, table)
        notes.extend([*left_out, *steps, *rewrites])
        return result

    return functions.changed(function, change), notes


def _has_tables(function: Any) -> bool:
    operations = functions.operations(function.graph)
    return any(operation.type == lookup_tables.LOOKUP for operation in operations)


def _loops(function: Any) -> Iterator[Any]:
    return (o for o in functions.operations(function.graph) if o.type in unrolling.LOOPS)


def _convert(source: SavedSource, form: _Form, variant: str) -> bytes:
    if variant == "int8" and form.loop:
        raise ExportError(_CALIBRATION.format(form.loop))
    keys = list(source.signatures)
    with quiet(show_on_error=False), warnings.catch_warnings():
        # The converter calibrates in an interpreter that is deprecated.
        warnings.filterwarnings("ignore", r"\s*Warning: tf.lite.Interpreter", UserWarning)
        converter = tf.lite.TFLiteConverter.from_saved_model(form.folder, signature_keys=keys)
        if variant:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if variant == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if variant == "int8":
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.representative_dataset = lambda: _calibration_data(source)
        if variant == "int8" and source.keep_float:
            return _quantised_in_part(converter, source)
        content: bytes = converter.convert()
    if variant and source.keep_float:
        plain = _convert(source, form, "")
        return with_float_weights(content, plain, source.kept(computed_names(plain)))
    return content


def _quantised_in_part(converter: Any, source: SavedSource) -> bytes:
    """A file of int8 without the operations that stay in floats.

    As `tf.lite.experimental.QuantizationDebugger` makes one of its `denylisted_nodes`
    (tensorflow/lite/tools/optimize/debugging/python/debugger.py), which makes and loads a second
    file to debug besides.
    """
    converter._experimental_calibrate_only = True
    calibrated = converter.convert()
    kept = source.kept(computed_names(calibrated))
    content: bytes = mlir_quantize(calibrated, denylisted_nodes=kept)
    return content


def _calibration_data(source: SavedSource) -> Iterator[Any]:
    """Each signature's examples, a row at a time where it is batched."""
    for name in source.signatures:
        examples = source.examples[name]
        if not source.signatures[name].batched:
            yield name, dict(examples)
            continue
        for n in range(len(next(iter(examples.values())))):
            yield name, {key: array[n : n + 1] for key, array in examples.items()}
