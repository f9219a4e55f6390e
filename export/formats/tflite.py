"""TFLite: one flatbuffer for LiteRT on phones, servers, in browsers and on microcontrollers."""

from pathlib import Path

import tensorflow as tf

from bundle.manifest import Endpoint
from export.formats.savedmodel import FOLDER, unchanged
from export.source import Source


def write(source: Source, root: Path) -> dict[str, Endpoint]:
    """Write `root/tflite/MODEL.tflite` in float32, with all signatures under their own names."""
    converter = tf.lite.TFLiteConverter.from_saved_model(
        str(root / FOLDER), signature_keys=list(source.functions)
    )
    path = f"tflite/{source.name}.tflite"
    (root / "tflite").mkdir()
    (root / path).write_bytes(converter.convert())
    return {name: unchanged(path, source, name) for name in source.functions}
