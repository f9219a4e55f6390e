"""Starts TensorFlow for a command, without its chatter."""

import os
import sys
import tempfile


def start() -> None:
    """Import Keras and TensorFlow and look for devices; what fails is said in full.

    Before its logger is set up, TensorFlow's C++ side writes to the standard error of the process
    whatever the log level: oneDNN is on, no GPU was found.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as chatter:
        os.dup2(chatter.fileno(), 2)
        try:
            import keras  # noqa: F401
            import tensorflow as tf

            tf.config.list_logical_devices()
        except BaseException:
            chatter.seek(0)
            os.write(kept, chatter.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
