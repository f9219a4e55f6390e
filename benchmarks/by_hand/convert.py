"""Every conversion that Portproof makes, one after the other: MODEL.keras INPUTS.npz FOLDER."""

import os
import sys
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import tensorflow as tf


def converted(saved_model: Path, variant: str, inputs: np.ndarray) -> bytes:
    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model))
    if variant:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if variant == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if variant == "int8":
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        rows = range(len(inputs))
        converter.representative_dataset = lambda: ([inputs[n : n + 1]] for n in rows)
    return converter.convert()


def main(file: str, inputs: str, folder: Path) -> None:
    folder.mkdir()
    model = keras.models.load_model(file)
    [data] = np.load(inputs).values()
    model.save(folder / "model.keras")
    model.export(folder / "saved_model", verbose=False)
    tf.train.Checkpoint(model=model).write(str(folder / "checkpoint"))
    for variant in ("", "float16", "dynamic-range", "int8"):
        try:
            content = converted(folder / "saved_model", variant, data)
        except Exception as error:  # as of an LSTM: a person would look for another way now
            print(f"{variant or 'float32'} does not convert: {type(error).__name__}")
            continue
        (folder / f"model-{variant}.tflite").write_bytes(content)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
