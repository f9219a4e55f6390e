"""Starts TensorFlow for a command, without its chatter."""

from export.quiet import quiet


def start() -> None:
    """Import Keras and TensorFlow and look for devices; what fails is said in full.

    TensorFlow says at every start that oneDNN is on and that no GPU was found.
    """
    with quiet():
        import keras  # noqa: F401
        import tensorflow as tf

        tf.config.list_logical_devices()
