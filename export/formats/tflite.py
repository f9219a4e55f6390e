"""TFLite: one flatbuffer for LiteRT on phones, servers, in browsers and on microcontrollers."""

import tempfile
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

from bundle.errors import ExportError
from bundle.manifest import Endpoint
from export import graphs
from export.formats import SAVEDMODEL
from export.formats.format import Written
from export.formats.savedmodel import unchanged
from export.quiet import quiet
from export.rewrites import TFLITE, loops, rewritten, tensor_lists
from export.source import Source

# The dtype that a variant brings into the file.
_MAKES = {
    "float16": schema.TensorType.FLOAT16,
    "dynamic-range": schema.TensorType.INT8,
    "int8": schema.TensorType.INT8,
}


def write(source: Source, root: Path, folder: str, variant: str = "") -> Written:
    """Write `root/folder/MODEL.tflite`, with all signatures under their own names.

    A signature with a dynamic batch is in it a second time as `1_row_NAME`, with one row: LiteRT
    in the browser takes no dynamic dimension. Both share the weights. Where the dynamic one does
    not convert (a recurrent layer's loop holds lists whose size is then unknown), the one with one
    row is there alone. Variants: `float16`, `dynamic-range` and `int8`, which has float inputs and
    outputs and is calibrated on the example inputs. Raises ExportError.
    """
    if variant == "int8":
        _check_calibration(source)
    batched = [name for name in source.functions if source.signatures[name].batched]
    # A file's signatures are in the order of their names, and TensorFlow Lite Micro and OpenVINO
    # read the first alone: the one whose shapes are fixed, of which fewer ops are left.
    one_row = {name: f"1_row_{name}" for name in batched}
    if clash := set(one_row.values()) & set(source.functions):
        raise ExportError(f"{', '.join(clash)} is a name that this file needs: give it another.")
    content, notes = _converted(source, root / SAVEDMODEL, one_row, variant)
    fixed = tensor_lists.NOTE in notes
    path = f"{folder}/{source.name}.tflite"
    if variant and not _has(content, _MAKES[variant]):
        raise ExportError("it has no weights that this makes smaller: it would be the tflite file")
    (root / folder).mkdir()
    (root / path).write_bytes(content)
    endpoints = {}
    for name in source.functions:
        row = one_row.get(name)
        update = {"one_row": row, "dynamic": not (row and fixed)}
        endpoints[name] = unchanged(path, source, name).model_copy(update=update)
    _try(content, endpoints, source)
    return Written(endpoints, notes)


def _check_calibration(source: Source) -> None:
    """Raises ExportError where there is nothing to calibrate int8 on."""
    if source.drawn:
        raise ExportError(
            "int8 is calibrated on the model's own data, and no example inputs were given: "
            "give some with --inputs data.npz, or inputs={...} in Python"
        )


def _check_loops(functions: dict[str, Any]) -> None:
    """Raises ExportError where calibration would end the whole process, with no exception."""
    for function in functions.values():
        for operation in graphs.operations(function.graph):
            if operation.type in loops.LOOPS:
                raise ExportError(
                    f"int8 is calibrated by TensorFlow's calibrator, which crashes at a loop "
                    f"({operation.name}): give the sequence a fixed length"
                )


def _has(content: bytes, dtype: int) -> bool:
    """Whether a file has a tensor of a dtype."""
    model = schema.Model.GetRootAs(content, 0)
    graphs_ = [model.Subgraphs(n) for n in range(model.SubgraphsLength())]
    return any(g.Tensors(n).Type() == dtype for g in graphs_ for n in range(g.TensorsLength()))


def _converted(
    source: Source, saved_model: Path, one_row: dict[str, str], variant: str
) -> tuple[bytes, tuple[str, ...]]:
    """The file's content, by the first way that converts, and what had to be done for it."""
    refused: Exception | None = None
    for way in (_as_it_is, _with_rewrites, _of_one_row):
        module = tf.saved_model.load(str(saved_model))
        functions, notes = way(dict(module.signatures), one_row)
        if not functions or (refused and not notes):
            continue  # nothing that was not tried before
        try:
            if variant == "int8":
                _check_loops(functions)
            with tempfile.TemporaryDirectory(prefix="portproof-") as passing, quiet(tell=False):
                tf.saved_model.save(module, passing, signatures=functions)
                return _convert(source, passing, list(functions), variant), notes
        except Exception as error:
            refused = refused or error
    assert refused
    raise refused


Way = tuple[dict[str, Any], tuple[str, ...]]


def _as_it_is(signatures: dict[str, Any], one_row: dict[str, str]) -> Way:
    added = {row: graphs.one_row(signatures[name]) for name, row in one_row.items()}
    return {**signatures, **added}, ()


def _with_rewrites(signatures: dict[str, Any], one_row: dict[str, str]) -> Way:
    """With ops that LiteRT lacks written in others."""
    functions, _ = _as_it_is(signatures, one_row)
    notes: list[str] = []
    made = {
        name: graphs.changed(function, partial(_rewritten, notes=notes))
        for name, function in functions.items()
    }
    return made, tuple(dict.fromkeys(notes))


def _of_one_row(signatures: dict[str, Any], one_row: dict[str, str]) -> Way:
    """With one row instead of a dynamic batch, and lists that know it."""
    notes: list[str] = []
    made = {}
    for name, function in signatures.items():
        single = graphs.one_row(function) if name in one_row else function
        made[one_row.get(name, name)] = graphs.changed(
            single, lambda graph: _rewritten(tensor_lists.of_one_row(graph), notes)
        )
    return (made, (*dict.fromkeys(notes), tensor_lists.NOTE)) if one_row else ({}, ())


def _rewritten(graph: Any, notes: list[str]) -> Any:
    straight = loops.unrolled(graph)
    made, found = rewritten(straight, TFLITE)
    notes += [*([] if straight is graph else [loops.NOTE]), *found]
    return made


def _convert(source: Source, saved_model: str, keys: list[str], variant: str) -> bytes:
    converter = tf.lite.TFLiteConverter.from_saved_model(saved_model, signature_keys=keys)
    if variant:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if variant == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if variant == "int8":
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.representative_dataset = lambda: _calibration(source, keys)
    with warnings.catch_warnings():  # the converter calibrates in an interpreter that is deprecated
        warnings.filterwarnings("ignore", r"\s*Warning: tf.lite.Interpreter", UserWarning)
        content: bytes = converter.convert()
    return content


def _calibration(source: Source, keys: list[str]) -> Iterator[Any]:
    """Each signature's examples, a row at a time where it is batched."""
    for key in keys:
        name = key.removeprefix("1_row_") if key not in source.functions else key
        examples = source.examples[name]
        if not source.signatures[name].batched:
            yield key, dict(examples)
            continue
        for n in range(len(next(iter(examples.values())))):
            yield key, {i: array[n : n + 1] for i, array in examples.items()}


def _try(content: bytes, endpoints: dict[str, Endpoint], source: Source) -> None:
    """Run each signature once in LiteRT. Raises ExportError where the file converts and fails."""
    from ai_edge_litert.interpreter import Interpreter

    with quiet():
        interpreter = Interpreter(model_content=content)
    for name, endpoint in endpoints.items():
        inputs = source.examples[name]
        if endpoint.one_row:
            inputs = {key: np.asarray(array[:1]) for key, array in inputs.items()}
        try:
            interpreter.get_signature_runner(endpoint.one_row or name)(**inputs)
        except (RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())[:400]
            raise ExportError(f"{name} converts, and LiteRT does not run it: {reason}") from None
