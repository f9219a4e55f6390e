"""A model becomes a bundle. Imports of TensorFlow and Keras live here and in runner processes."""

import os

# TensorFlow's C++ side logs its CPU features and the GPUs it does not find at every start.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
