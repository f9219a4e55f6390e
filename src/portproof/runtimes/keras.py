"""Keras, loading in safe mode: on TensorFlow, and reloaded on its other backends."""

from functools import partial

from portproof.runtimes.runtime import Runtime, missing_package, python_command


def _other(backend: str, package: str) -> Runtime:
    return Runtime(
        name=f"keras-{backend}",
        formats=("keras",),
        command=partial(python_command, "keras_runner"),
        missing=partial(missing_package, package, f"portproof[{backend}]"),
        backend=backend,
        environment={"KERAS_BACKEND": backend},
    )


RUNTIMES = (
    Runtime(
        name="keras",
        formats=("keras",),
        # The same process as TensorFlow's, which is imported once for both.
        command=partial(python_command, "tensorflow_runner"),
        missing=partial(missing_package, "tensorflow", "tensorflow"),
        backend="tensorflow",
    ),
    _other("jax", "jax"),
    _other("torch", "torch"),
    _other("openvino", "openvino"),
)
