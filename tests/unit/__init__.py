"""Seconds, and no TensorFlow."""
