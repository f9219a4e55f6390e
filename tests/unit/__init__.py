"""Unit tests: they run in seconds and without TensorFlow."""
