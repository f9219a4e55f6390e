"""Keras on TensorFlow, loading in safe mode."""

from functools import partial

from verify.runtimes.runtime import Runtime, missing_package, python_command

RUNTIMES = (
    Runtime(
        name="keras",
        formats=("keras",),
        command=partial(python_command, "keras_runner"),
        missing=partial(missing_package, "keras", "keras tensorflow"),
        backend="tensorflow",
    ),
)
