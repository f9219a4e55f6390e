"""A TF.js graph model by the official converter: SAVED_MODEL FOLDER."""

import os
import sys
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

from tests.helpers.official_tfjs import convert

if __name__ == "__main__":
    convert(Path(sys.argv[1]), "serving_default", Path(sys.argv[2]))
