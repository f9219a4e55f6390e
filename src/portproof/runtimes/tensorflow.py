"""TensorFlow in Python: SavedModels, and checkpoints restored into their SavedModel's graph."""

from functools import partial

from portproof.runtimes.runtime import Runtime, missing_package, python_command

RUNTIMES = (
    Runtime(
        name="tensorflow",
        formats=("savedmodel", "checkpoint"),
        command=partial(python_command, "tensorflow_runner"),
        missing=partial(missing_package, "tensorflow", "tensorflow"),
        backend="tensorflow",
        inspects=("savedmodel", "checkpoint"),
    ),
)
