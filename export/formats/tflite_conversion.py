"""From a SavedModel to TFLite: the ways to convert one, in the order in which they are tried."""

import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import tensorflow as tf

from bundle.errors import ExportError
from export import graphs
from export.quiet import quiet
from export.rewrites import MICRO, TFLITE, Row, loops, rewritten, tensor_lists
from export.source import Source

# A function that a signature becomes, and what was done to it in words.
Way = Callable[[Any], tuple[Any, list[str]]]
# The same of a graph.
Change = Callable[[Any], tuple[Any, list[str]]]
Table = dict[str, Row]


def converted(
    source: Source, saved_model: Path, variant: str, *, one_row: bool
) -> tuple[bytes, list[str]]:
    """A file's content, by the first way that converts, and what had to be done for it.

    With `one_row`, batched signatures have one row. Raises what the converter raised first.
    """
    refused: Exception | None = None
    tried: list[list[str]] = []
    for way in _ways(one_row):
        module = tf.saved_model.load(str(saved_model))
        functions, notes = {}, []
        for name in source.functions:
            function = module.signatures[name]
            fixed = one_row and source.signatures[name].batched
            functions[name], done = way(graphs.one_row(function) if fixed else function)
            notes += done
        if notes in tried:
            continue
        tried.append(notes)
        try:
            if variant == "int8":
                _check_loops(functions)
            with tempfile.TemporaryDirectory(prefix="portproof-") as passing, quiet(tell=False):
                tf.saved_model.save(module, passing, signatures=functions)
                return _convert(source, passing, variant), notes
        except Exception as error:
            refused = refused or error
    assert refused
    raise refused


def _ways(one_row: bool) -> Iterator[Way]:
    micro = MICRO if one_row else {}
    yield partial(_rewritten, table=micro)
    yield partial(_unrolled, table={**micro, **TFLITE})
    if one_row:
        yield partial(_with_lists_of_one_row, table={**micro, **TFLITE})


def _rewritten(function: Any, table: Table) -> tuple[Any, list[str]]:
    """As it is, but for the ops of a table: untouched where it has none of them."""
    if not any(operation.type in table for operation in graphs.operations(function.graph)):
        return function, []
    return _changed(function, lambda graph: (graph, []), table)


def _unrolled(function: Any, table: Table) -> tuple[Any, list[str]]:
    """With loops of known length written out, and the ops of a table in others."""

    def straight(graph: Any) -> tuple[Any, list[str]]:
        made = loops.unrolled(graph)
        return made, [] if made is graph else [loops.NOTE]

    return _changed(function, straight, table)


def _with_lists_of_one_row(function: Any, table: Table) -> tuple[Any, list[str]]:
    """With loops that stay, and lists of tensors in them that know that they have one row."""
    return _changed(
        function, lambda graph: (tensor_lists.of_one_row(graph), [tensor_lists.NOTE]), table
    )


def _changed(function: Any, before: Change, table: Table) -> tuple[Any, list[str]]:
    notes: list[str] = []

    def change(graph: Any) -> Any:
        graph, done = before(graph)
        made, found = rewritten(graph, table)
        notes.extend([*done, *found])
        return made

    return graphs.changed(function, change), notes


def _check_loops(functions: dict[str, Any]) -> None:
    """Raises ExportError where calibration would end the whole process, with no exception."""
    for function in functions.values():
        for operation in graphs.operations(function.graph):
            if operation.type in loops.LOOPS:
                raise ExportError(
                    f"int8 is calibrated by TensorFlow's calibrator, which crashes at a loop "
                    f"({operation.name}): give the sequence a fixed length"
                )


def _convert(source: Source, saved_model: str, variant: str) -> bytes:
    keys = list(source.functions)
    converter = tf.lite.TFLiteConverter.from_saved_model(saved_model, signature_keys=keys)
    if variant:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if variant == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if variant == "int8":
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.representative_dataset = lambda: _calibration(source)
    with warnings.catch_warnings():  # the converter calibrates in an interpreter that is deprecated
        warnings.filterwarnings("ignore", r"\s*Warning: tf.lite.Interpreter", UserWarning)
        content: bytes = converter.convert()
    return content


def _calibration(source: Source) -> Iterator[Any]:
    """Each signature's examples, a row at a time where it is batched."""
    for name in source.functions:
        examples = source.examples[name]
        if not source.signatures[name].batched:
            yield name, dict(examples)
            continue
        for n in range(len(next(iter(examples.values())))):
            yield name, {key: array[n : n + 1] for key, array in examples.items()}
