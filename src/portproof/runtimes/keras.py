"""Keras, loading in safe mode: on TensorFlow, and reloaded on its other backends."""

from functools import partial

from portproof.runtimes import tensorflow
from portproof.runtimes.environments.python import PythonEnvironment
from portproof.runtimes.runtime import Runtime

# What Keras says of a class or function that its version does not have, and PyTorch of a variable.
_LACKS = (
    (r"deserialize (?:class|function) '(\w+)' because its parent module", r"\1"),
    (r"deserialize '(?:\w+\.)*(\w+)' because it is not a KerasSaveable", r"\1"),
    (r"Layer (\w+) requires TensorFlow", r"\1"),
    (r"Could not locate (?:class|function) '(\w+)'", r"\1"),
    (r"Only Tensors of floating point .* can require gradients", "trainable weights of integers"),
)


def _on_tensorflow(version: str = "") -> Runtime:
    if version:
        packages = PythonEnvironment("keras", version, packages=("keras", "tensorflow"))
    else:  # the same process as TensorFlow's, which is imported once for both
        packages = tensorflow.environment()
    return Runtime(
        name="keras",
        formats=("keras",),
        command=partial(packages.command, "tensorflow_runner"),
        environment=packages,
        version=partial(packages.version_of, "keras"),
        at=_on_tensorflow,
        backend="tensorflow",
        lacks=_LACKS,
    )


# What Keras imports on a backend without saying so.
_UNDECLARED = {"jax": (), "torch": (), "openvino": ("scipy",)}
# JAX compiles for each shape, OpenVINO at each call.
_SLOWNESS = {"jax": 40.0, "torch": 4.0, "openvino": 100.0}


def _on_other(backend: str, version: str = "", *, large: bool = False) -> Runtime:
    name = f"keras-{backend}"
    packages = PythonEnvironment(name, version, packages=("keras", backend, *_UNDECLARED[backend]))
    return Runtime(
        name=name,
        formats=("keras",),
        command=partial(packages.command, "keras_runner"),
        variables=lambda: {"KERAS_BACKEND": backend},
        environment=packages,
        at=partial(_on_other, backend, large=large),
        only_by_name=large,
        backend=backend,
        slowness=_SLOWNESS[backend],
        lacks=_LACKS,
    )


RUNTIMES = (
    _on_tensorflow(),
    _on_other("jax"),
    _on_other("torch", large=True),  # on Linux it comes with CUDA: gigabytes
    _on_other("openvino"),
)
