"""The three models of export/, trained and saved by a script that verifies nothing: FOLDER."""

import os
import sys
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import tensorflow as tf

from export.train import MODELS, source_of, train


def main(folder: Path) -> None:
    for name in MODELS:
        train(name, folder / "training")
        source = source_of(name, folder / "training")
        saved_model = folder / name / "saved_model"
        functions = {key: source.concrete(key) for key in source.functions}
        tf.saved_model.save(source.model, str(saved_model), signatures=functions)
        tf.train.Checkpoint(model=source.model).write(str(folder / name / "checkpoint"))
        for variant in ("", "float16", "dynamic-range"):
            converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model))
            if variant:
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
            if variant == "float16":
                converter.target_spec.supported_types = [tf.float16]
            (folder / name / f"model-{variant}.tflite").write_bytes(converter.convert())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
