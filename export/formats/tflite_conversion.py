"""From a SavedModel to TFLite: the ways to convert one, in the order in which they are tried."""

import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from bundle.errors import ExportError
from export import graphs
from export.quiet import quiet
from export.rewrites import TFLITE, loops, rewritten, tensor_lists
from export.source import Source

# A function that a signature becomes, and what was done to it in words.
Way = Callable[[Any], tuple[Any, list[str]]]


def converted(
    source: Source, saved_model: Path, variant: str, *, one_row: bool
) -> tuple[bytes, list[str]]:
    """A file's content, by the first way that converts, and what had to be done for it.

    With `one_row`, batched signatures have one row. Raises what the converter raised first.
    """
    refused: Exception | None = None
    for way in (_as_it_is, _with_rewrites, *((_with_lists_of_one_row,) if one_row else ())):
        module = tf.saved_model.load(str(saved_model))
        functions, notes = {}, []
        for name in source.functions:
            function = module.signatures[name]
            fixed = one_row and source.signatures[name].batched
            functions[name], done = way(graphs.one_row(function) if fixed else function)
            notes += done
        if refused and not notes:
            continue  # nothing that was not tried before
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


def _as_it_is(function: Any) -> tuple[Any, list[str]]:
    return function, []


def _with_rewrites(function: Any) -> tuple[Any, list[str]]:
    """With loops of known length written out, and ops that LiteRT lacks in others."""
    notes: list[str] = []
    return graphs.changed(function, lambda graph: _rewritten(graph, notes)), notes


def _with_lists_of_one_row(function: Any) -> tuple[Any, list[str]]:
    """With loops that stay, and lists of tensors in them that know that they have one row."""
    notes: list[str] = [tensor_lists.NOTE]

    def change(graph: Any) -> Any:
        return _rewritten(tensor_lists.of_one_row(graph), notes)

    return graphs.changed(function, change), notes


def _rewritten(graph: Any, notes: list[str]) -> Any:
    straight = loops.unrolled(graph)
    made, found = rewritten(straight, TFLITE)
    notes += [*([] if straight is graph else [loops.NOTE]), *found]
    return made


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
