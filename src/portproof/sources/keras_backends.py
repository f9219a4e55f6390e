"""A `keras.Model` that computes with JAX, PyTorch or OpenVINO becomes a Source.

What is exported is a graph of TensorFlow's, and Keras has one backend in a process: another process
loads the model on TensorFlow, and saves its graph. The references are the model's own, of its own
backend.
"""

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from portproof.bundle import temporary
from portproof.bundle.errors import ExportError, PortproofError, UsageError, described
from portproof.bundle.tensors import Arrays
from portproof.quiet import start_tensorflow
from portproof.sources.functions import concrete_of
from portproof.sources.keras_files import load_keras_file
from portproof.sources.keras_models import (
    SIGNATURE,
    check_model,
    keras_inputs,
    keras_outputs,
    layers_of,
    serving_function,
    serving_source,
)
from portproof.sources.source import Source
from portproof.sources.tracking import trackable

_BACKEND = "KERAS_BACKEND"
# What the two processes hand over, by their names in a folder.
_FILE, _GRAPH = "model.keras", "graph"


class OriginalError(ExportError):
    """An original refuses some inputs."""


@dataclass(frozen=True)
class Original:
    """A model that TensorFlow does not compute, and whose numbers are to be proven.

    Attributes:
        model: The `keras.Model`.
        backend: What Keras computes with in this process, such as `jax`.
    """

    model: Any
    backend: str

    @property
    def versions(self) -> dict[str, str]:
        """The version of the backend's package."""
        return {self.backend: version(self.backend)}

    def outputs(self, inputs: Mapping[str, np.ndarray[Any, Any]], like: Arrays) -> Arrays:
        """What the model computes.

        Args:
            inputs: An array for each input.
            like: What its graph gives in TensorFlow, whose integers may be wider: JAX has none of
                64 bits unless it is told to.

        Raises OriginalError where it fails, and ExportError where it gives other dtypes or shapes
        than its graph.
        """
        try:
            nested = keras_inputs(self.model, inputs)
            outputs = keras_outputs(self.model, self.model(nested, training=False))
            arrays = {
                name: np.asarray(keras.ops.convert_to_numpy(tensor))
                for name, tensor in outputs.items()
            }
        except Exception as error:  # whatever the backend raises
            raise OriginalError(
                f"{self.model.name} fails on {self.backend}: {described(error, 300)}"
            ) from error
        return {name: self._checked(name, arrays[name], like[name]) for name in like}

    def _checked(self, name: str, array: np.ndarray[Any, Any], like: Any) -> np.ndarray[Any, Any]:
        if array.dtype.kind in "iu" and like.dtype.kind in "iu":
            array = array.astype(like.dtype)
        if array.dtype != like.dtype or array.shape != like.shape:
            raise ExportError(
                f"{self.model.name}: {name} is {array.dtype}{list(array.shape)} on {self.backend}, "
                f"and {like.dtype}{list(like.shape)} on TensorFlow. Give the model dtypes that "
                f"both have, or export it with {_BACKEND}=tensorflow."
            )
        return array


def from_other_backend(
    name: str, model: keras.Model, examples: Any = None, imports: Sequence[str] = ()
) -> Source:
    """A Source of a `keras.Model` that TensorFlow does not compute, as `serving_default`.

    Args:
        name: The model's name.
        model: The model. Its own layers, where it has some, must be in modules, which the process
            on TensorFlow imports too.
        examples: See `complete_examples`.
        imports: Modules that register what such layers use.

    Raises ExportError as `from_keras` does, and where it does not load on TensorFlow.
    """
    check_model(name, model)
    graph = _on_tensorflow(name, model, imports)
    source = serving_source(name, model, graph.signatures[SIGNATURE], examples)
    return replace(source, model=graph, original=Original(model, keras.backend.backend()))


def _on_tensorflow(name: str, model: keras.Model, imports: Sequence[str]) -> Any:
    """The model as a loaded SavedModel, which a process on TensorFlow made of it."""
    modules = [*imports, *_own_modules(name, model)]
    with temporary.own_folder() as folder:
        file = folder / _FILE
        try:
            model.save(file)
        except Exception as error:  # whatever a layer raises
            raise ExportError(f"{name} cannot be saved: {described(error, 300)}") from error
        task = {"path": sys.path, "name": name, "folder": str(folder), "imports": modules}
        done = subprocess.run(
            [sys.executable, "-P", "-c", _PROGRAM],
            input=json.dumps(task, default=str),
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            # No GPU, of which TensorFlow takes all the memory that there is.
            env={**os.environ, _BACKEND: "tensorflow", "CUDA_VISIBLE_DEVICES": "-1"},
            check=False,
        )
        if done.returncode:
            said = (done.stdout or done.stderr).strip().splitlines() or ["it ended without a word"]
            kind = UsageError if done.returncode == UsageError.exit_status else ExportError
            raise kind(f"on TensorFlow, {said[-1].replace(str(file), name)}")
        return tf.saved_model.load(str(folder / _GRAPH))


def _own_modules(name: str, model: keras.Model) -> list[str]:
    """The modules of a model's own layers. Raises ExportError where one is in no module."""
    classes = {type(layer) for layer in [model, *layers_of(model)]}
    own = {kind.__module__: kind for kind in classes if kind.__module__.split(".")[0] != "keras"}
    if main := own.get("__main__"):
        raise ExportError(
            f"{name} has a {main.__name__}, which is defined in the script that runs: move it into "
            "a module, which another process can import, for its graph is made by Keras on "
            "TensorFlow."
        )
    return sorted(own)


# The process has the paths of the one that starts it, as a person's script may have set them.
_PROGRAM = """
import json, sys
task = json.load(sys.stdin)
sys.path[:] = task.pop("path")
from portproof.sources.keras_backends import main
sys.exit(main(**task))
"""


def main(name: str, folder: str, imports: Sequence[str]) -> int:
    """Save the graph of the `.keras` file in a folder beside it, and print what is wrong."""
    try:
        start_tensorflow()
        for module in imports:
            importlib.import_module(module)
        model = load_keras_file(Path(folder, _FILE), imports)
        function = serving_function(name, model)
    except PortproofError as error:
        print(error)
        return error.exit_status
    signatures = {SIGNATURE: concrete_of(function)}
    tf.saved_model.save(trackable(model), str(Path(folder, _GRAPH)), signatures=signatures)
    return 0
