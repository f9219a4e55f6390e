"""A SavedModel and a checkpoint: MODEL.keras FOLDER."""

import os
import sys
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import tensorflow as tf


def main(file: str, folder: Path) -> None:
    folder.mkdir()
    model = keras.models.load_model(file)
    tf.saved_model.save(model, str(folder / "saved_model"))
    tf.train.Checkpoint(model=model).write(str(folder / "checkpoint"))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
