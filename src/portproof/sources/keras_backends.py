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
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from portproof.bundle import temporary
from portproof.bundle.errors import ExportError, PortproofError, UsageError, described
from portproof.bundle.tensors import Arrays
from portproof.quiet import BESIDE, start_tensorflow
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

# What the two processes hand over, by their names in a folder.
_FILE, _GRAPH, _ERROR = "model.keras", "graph", "error"


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
        """The version of the backend's package; none where it is installed by another name."""
        with suppress(PackageNotFoundError):
            return {self.backend: version(self.backend)}
        return {}

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
            with warnings.catch_warnings():
                # Of JAX, that its integers are narrower.
                warnings.filterwarnings("ignore", "Explicitly requested dtype")
                arrays = self._call(inputs)
        except Exception as error:  # whatever the backend raises
            raise OriginalError(
                f"{self.model.name} fails on {self.backend}: {described(error, 300)}"
            ) from error
        return {name: self._checked(name, arrays[name], like[name]) for name in like}

    def _call(self, inputs: Mapping[str, np.ndarray[Any, Any]]) -> Arrays:
        outputs = self.model(keras_inputs(self.model, inputs), training=False)
        tensors = keras_outputs(self.model, outputs)
        return {name: np.asarray(keras.ops.convert_to_numpy(t)) for name, t in tensors.items()}

    def _checked(self, name: str, array: np.ndarray[Any, Any], like: Any) -> np.ndarray[Any, Any]:
        if array.dtype.kind in "iu" and like.dtype.kind in "iu":
            array = array.astype(like.dtype)
        if array.dtype != like.dtype or array.shape != like.shape:
            raise ExportError(
                f"{self.model.name}: {name} is {array.dtype}{list(array.shape)} on {self.backend}, "
                f"and {like.dtype}{list(like.shape)} on TensorFlow. Give the model dtypes that "
                "both have (JAX has those of 64 bits with JAX_ENABLE_X64=1 alone), or export it "
                "with KERAS_BACKEND=tensorflow."
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
    with temporary.own_folder() as folder:
        file = folder / _FILE
        try:
            model.save(file)
            modules = [*imports, *_own_modules(name, model)]
        except PortproofError:
            raise
        except Exception as error:  # whatever a layer raises
            raise ExportError(f"{name} cannot be saved: {described(error, 300)}") from error
        task = {"path": sys.path, "name": name, "folder": str(folder), "imports": modules}
        done = subprocess.run(
            [sys.executable, "-P", "-c", _PROGRAM],
            input=json.dumps(task, default=str),
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, **BESIDE},
            check=False,
        )
        if done.returncode:
            told = folder / _ERROR
            ended = f"it ended with status {done.returncode}"
            said = told.read_text() if told.exists() else ended
            kind = UsageError if done.returncode == UsageError.exit_status else ExportError
            raise kind(
                f"Keras on TensorFlow, which makes the graph in another process, says: "
                f"{said.replace(str(file), name)}"
            )
        return tf.saved_model.load(str(folder / _GRAPH))


def _own_modules(name: str, model: keras.Model) -> list[str]:
    """The modules of a model's own layers and functions.

    Raises ExportError where one is in no module.
    """
    used: list[Any] = [type(layer) for layer in [model, *layers_of(model)]]
    config = json.dumps(keras.saving.serialize_keras_object(model), default=str)
    registered = keras.saving.get_custom_objects()
    used += [value for key, value in registered.items() if json.dumps(key) in config]
    own = {value.__module__: value for value in used if value.__module__.split(".")[0] != "keras"}
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
    """Save the graph of the `.keras` file in a folder beside it, or what is wrong with it.

    Returns the exit status.
    """
    place = Path(folder)
    try:
        start_tensorflow()
        for module in imports:
            importlib.import_module(module)
        model = load_keras_file(place / _FILE, imports)
        signatures = {SIGNATURE: concrete_of(serving_function(name, model))}
        tf.saved_model.save(trackable(model), str(place / _GRAPH), signatures=signatures)
    except Exception as error:  # whatever a person's modules raise
        told = str(error) if isinstance(error, PortproofError) else described(error, 300)
        (place / _ERROR).write_text(told)
        return error.exit_status if isinstance(error, PortproofError) else ExportError.exit_status
    return 0
