"""The raw converters: what somebody's own script calls."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

from tests.helpers import official_tfjs
from verify.foreign.models import Arrays, Case

SIGNATURE = "serving_default"


def save(case: Case, rows: Arrays, folder: Path) -> Path:
    """The case as a SavedModel."""
    module = tf.Module()
    # Not the model itself: TensorFlow's converter would take the copies of its variables that Keras
    # adds, which nothing initialises, for the weights.
    module.values = [variable.value for variable in case.model.variables]
    specs = {
        name: tf.TensorSpec((None, *array.shape[1:]), array.dtype, name=name)
        for name, array in rows.items()
    }
    serve = tf.function(lambda **inputs: case.call(case.model, inputs), autograph=False)
    function = serve.get_concrete_function(**specs)
    tf.saved_model.save(module, str(folder / "saved"), signatures={SIGNATURE: function})
    return folder / "saved"


def to_tflite(saved: Path, folder: Path) -> Path:
    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved))
    path = folder / "model.tflite"
    path.write_bytes(converter.convert())
    return path


def to_onnx(saved: Path, folder: Path) -> Path:
    from tf2onnx import convert, tf_loader

    graph, inputs, outputs = tf_loader.from_saved_model(
        str(saved), None, None, signatures=[SIGNATURE]
    )
    path = folder / "model.onnx"
    convert.from_graph_def(
        graph, input_names=inputs, output_names=outputs, opset=17, output_path=str(path)
    )
    return path


def to_tfjs(saved: Path, folder: Path) -> Path:
    official_tfjs.convert(saved, SIGNATURE, folder / "web")
    return folder / "web"


# By format: what converts to it, and the runtime that the file is run in.
CONVERTERS: dict[str, tuple[Callable[[Path, Path], Path], str]] = {
    "tflite": (to_tflite, "litert"),
    "onnx": (to_onnx, "onnxruntime"),
    "tfjs-graph": (to_tfjs, "tfjs-node-cpu"),
}
# The outputs of one shape, which only a person can tell apart where the converter renames them:
# TensorFlow's own order is that of their names.
PLACES: dict[str, dict[str, Any]] = {
    "tflite": {},
    "onnx": {"place": "Identity_1:0", "size": "Identity_2:0"},
    "tfjs-graph": {"place": "Identity_1:0", "size": "Identity_2:0"},
}
