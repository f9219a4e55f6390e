"""TFLite: one flatbuffer for LiteRT on phones, servers, in browsers and on microcontrollers."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tensorflow as tf

from bundle.errors import ExportError
from bundle.manifest import Endpoint
from export.formats.savedmodel import FOLDER, unchanged
from export.source import Source


def write(source: Source, root: Path) -> dict[str, Endpoint]:
    """Write `root/tflite/MODEL.tflite` in float32, with all signatures under their own names.

    A signature with a dynamic batch is in it a second time as `NAME_one_row`, with one row: LiteRT
    in the browser takes no dynamic dimension. Both share the weights.
    """
    one_row = {n: f"{n}_one_row" for n in source.functions if source.signatures[n].batched}
    if clash := set(one_row.values()) & set(source.functions):
        raise ExportError(f"{', '.join(clash)} is a name that this file needs: give it another.")
    with _with_one_row(root / FOLDER, one_row) as saved_model:
        converter = tf.lite.TFLiteConverter.from_saved_model(
            str(saved_model), signature_keys=[*source.functions, *one_row.values()]
        )
        content = converter.convert()
    path = f"tflite/{source.name}.tflite"
    (root / "tflite").mkdir()
    (root / path).write_bytes(content)
    return {
        name: unchanged(path, source, name).model_copy(update={"one_row": one_row.get(name)})
        for name in source.functions
    }


@contextmanager
def _with_one_row(saved_model: Path, one_row: dict[str, str]) -> Iterator[Path]:
    """A passing copy of the SavedModel in which some signatures are also there with one row."""
    if not one_row:
        yield saved_model
        return
    module = tf.saved_model.load(str(saved_model))
    functions = dict(module.signatures)
    functions |= {added: _one_row(functions[name]) for name, added in one_row.items()}
    with tempfile.TemporaryDirectory(prefix="portproof-") as folder:
        tf.saved_model.save(module, folder, signatures=functions)
        yield Path(folder)


def _one_row(concrete: Any) -> Any:
    """The same function of one row: its first dimension, dynamic until then, is 1."""
    specs = {
        name: tf.TensorSpec([1, *spec.shape[1:]], spec.dtype, name=name)
        for name, spec in concrete.structured_input_signature[1].items()
    }
    function = tf.function(lambda **inputs: concrete(**inputs), autograph=False)
    return function.get_concrete_function(**specs)
