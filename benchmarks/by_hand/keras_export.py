"""A SavedModel as Keras exports it: MODEL.keras FOLDER."""

import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras

if __name__ == "__main__":
    keras.models.load_model(sys.argv[1]).export(sys.argv[2], verbose=False)
