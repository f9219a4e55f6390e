"""From a SavedModel to TFLite: the ways to convert one, in the order in which they are tried."""

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
    forms = _forms(saved_model)
    refused: Exception | None = None
    for number in range(forms.first[one_row], len(_ways(one_row))):
        try:
            form = forms.by_way(source, number, one_row)
            if form.notes in forms.tried(number, one_row):
                continue
            content = _convert(source, form, variant)
        except Exception as error:
            refused = refused or error
        else:
            if not variant:
                forms.first[one_row] = number
            return content, form.notes
    assert refused
    raise refused


@dataclass(frozen=True)
class _Form:
    """A SavedModel to convert: its folder, what was done in words, and the name of a loop in it."""

    folder: str
    notes: list[str]
    loop: str


class _Forms:
    """What a SavedModel becomes by each way: made once, for all variants are converted from it.

    `first` is the first way to try, with one row and without: the first that converted plainly.
    """

    def __init__(self, saved_model: Path) -> None:
        self._saved_model = str(saved_model)
        self._scratch = tempfile.mkdtemp(prefix="portproof-")
        weakref.finalize(self, shutil.rmtree, self._scratch, ignore_errors=True)
        self._made: dict[tuple[bool, int], _Form] = {}
        self.first = {False: 0, True: 0}

    def by_way(self, source: Source, number: int, one_row: bool) -> _Form:
        if (one_row, number) not in self._made:
            self._made[one_row, number] = self._make(source, number, one_row)
        return self._made[one_row, number]

    def tried(self, number: int, one_row: bool) -> list[list[str]]:
        """What the ways before did."""
        return [self._made[one_row, n].notes for n in range(number) if (one_row, n) in self._made]

    def _make(self, source: Source, number: int, one_row: bool) -> _Form:
        module = tf.saved_model.load(self._saved_model)
        functions, notes = {}, []
        for name in source.functions:
            function = module.signatures[name]
            fixed = one_row and source.signatures[name].batched
            way = _ways(one_row)[number]
            functions[name], done = way(graphs.one_row(function) if fixed else function)
            notes += done
        loop = next((o.name for f in functions.values() for o in _loops(f)), "")
        if not (one_row or notes):
            return _Form(self._saved_model, [], loop)
        folder = f"{self._scratch}/{number}{'-1_row' if one_row else ''}"
        with quiet(tell=False):
            # Gradients are of no use here, and some do not survive being traced again.
            options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
            tf.saved_model.save(module, folder, signatures=functions, options=options)
        return _Form(folder, notes, loop)


@functools.lru_cache(maxsize=1)
def _forms(saved_model: Path) -> _Forms:
    """Of the model that is being exported: each export has a folder of its own."""
    return _Forms(saved_model)


def _ways(one_row: bool) -> list[Way]:
    micro = MICRO if one_row else {}
    ways: list[Way] = [
        partial(_rewritten, table=micro),
        partial(_unrolled, table={**micro, **TFLITE}),
    ]
    if one_row:
        ways.append(partial(_with_lists_of_one_row, table={**micro, **TFLITE}))
    return ways


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


# It would end the whole process, with no exception.
_CALIBRATION = (
    "int8 is calibrated by TensorFlow's calibrator, which crashes at a loop ({}): give the "
    "sequence a fixed length"
)


def _loops(function: Any) -> Iterator[Any]:
    return (o for o in graphs.operations(function.graph) if o.type in loops.LOOPS)


def _convert(source: Source, form: _Form, variant: str) -> bytes:
    if variant == "int8" and form.loop:
        raise ExportError(_CALIBRATION.format(form.loop))
    keys = list(source.functions)
    with quiet(tell=False), warnings.catch_warnings():
        # The converter calibrates in an interpreter that is deprecated.
        warnings.filterwarnings("ignore", r"\s*Warning: tf.lite.Interpreter", UserWarning)
        converter = tf.lite.TFLiteConverter.from_saved_model(form.folder, signature_keys=keys)
        if variant:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if variant == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if variant == "int8":
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.representative_dataset = lambda: _calibration(source)
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
