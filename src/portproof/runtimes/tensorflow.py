"""TensorFlow in Python: SavedModels, and checkpoints restored into their SavedModel's graph."""

from functools import partial

from portproof.runtimes.environments.python import PythonEnvironment
from portproof.runtimes.runtime import Runtime


def environment(version: str = "") -> PythonEnvironment:
    """TensorFlow with its Keras."""
    return PythonEnvironment("tensorflow", version, packages=("tensorflow", "keras"))


def _runtime(version: str = "") -> Runtime:
    packages = environment(version)
    return Runtime(
        name="tensorflow",
        formats=("savedmodel", "checkpoint"),
        command=partial(packages.command, "tensorflow_runner"),
        environment=packages,
        at=_runtime,
        backend="tensorflow",
        inspects=("savedmodel", "checkpoint"),
    )


RUNTIMES = (_runtime(),)
