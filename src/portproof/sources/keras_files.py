"""Files of Keras: `.keras`, and the HDF5 of before, of Keras 3 and of Keras 2.

A file states the version of Keras that wrote it, and is loaded by that Keras: Keras 3 computes some
layers of Keras 2 otherwise, and does not have all of them. Nothing in a file is run as code.
"""

import json
import re
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras

from portproof.bundle.errors import ExportError, UsageError, one_line
from portproof.bundle.reading import MANIFEST_LIMIT
from portproof.sources.keras_models import lambda_message
from portproof.sources.names import HDF5

# What Keras 3 and Keras 2 say of a class or function that they do not have.
_UNKNOWN = re.compile(
    r"(?:Could not locate (?:class|function) '|Unknown (?:layer|object|activation function): '?)"
    r"([\w>.]+)"
)
# Where Keras looks for what is its own. It imports any other module that a file names.
_OF_KERAS = frozenset({"keras", "tf_keras", "builtins"})
_ATTRIBUTES = {"keras_version", "model_config"}


def load_keras_file(path: Path, imports: Sequence[str] = ()) -> Any:
    """A model from a file, in safe mode: a `keras.Model`, or a `tf_keras.Model` of Keras 2.

    Args:
        path: The file.
        imports: The modules that a person named, in which the file's own classes may be.

    Raises:
        ExportError: The file does not load, or has layers of Python code.
        UsageError: It is no whole file of a model, or needs what is not here.
    """
    version, config = (_hdf5_header if path.suffix in HDF5 else _zip_header)(path)
    if lambdas := list(_lambda_layers(config)):
        raise ExportError(lambda_message(path.name, lambdas))
    if not version.startswith("2."):
        return _loaded(path, keras.saving.load_model)
    if unknown := next(_foreign_modules(config, imports), None):
        raise _unknown_error(path, unknown)
    try:
        import tf_keras
    except ImportError as error:
        raise UsageError(
            f"{path} is of Keras {version}, which is loaded with the package tf_keras of your "
            f"TensorFlow's version: pip install tf_keras ({one_line(error, 200)})"
        ) from None
    return _loaded(path, tf_keras.models.load_model)


def _loaded(path: Path, load: Any) -> Any:
    try:
        return load(path, compile=False, safe_mode=True)
    except Exception as error:  # of Keras, h5py, and whatever a layer calls
        if unknown := _UNKNOWN.search(str(error)):
            raise _unknown_error(path, unknown[1]) from None
        raise ExportError(f"{path} does not load: {one_line(error)}") from None


def _unknown_error(path: Path, what: str) -> UsageError:
    return UsageError(
        f"{path} holds {what}, which Keras does not know: name the Python module that defines it "
        "(with @keras.saving.register_keras_serializable()): --import package.module."
    )


def _zip_header(path: Path) -> tuple[str, Any]:
    """The version of Keras that a `.keras` file states, and its config."""
    try:
        with zipfile.ZipFile(path) as file:
            # Not `read`, which believes the size that the file states of itself.
            text = file.open("config.json").read(MANIFEST_LIMIT + 1)
            metadata = file.open("metadata.json").read(MANIFEST_LIMIT + 1)
        if max(len(text), len(metadata)) <= MANIFEST_LIMIT:
            return str(json.loads(metadata).get("keras_version")), json.loads(text)
    except RecursionError:
        raise UsageError(f"{path} has a config.json that is nested too deeply.") from None
    except Exception:  # what zipfile and zlib raise of a damaged or locked file is no one kind
        raise UsageError(
            f"{path} is not a whole .keras file: save it again with model.save('{path.name}')."
        ) from None
    raise UsageError(f"{path} has a config.json of more than {MANIFEST_LIMIT:,} bytes.")


def _hdf5_header(path: Path) -> tuple[str, Any]:
    """The version of Keras that an HDF5 file states, and its config."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            outside = next(_outside(file), None)
            attributes = {name: _text(file.attrs[name]) for name in _ATTRIBUTES & {*file.attrs}}
        config = json.loads(attributes.get("model_config", "null"))
    except RecursionError:
        raise UsageError(f"{path} has a config that is nested too deeply.") from None
    except Exception as error:  # h5py has no one kind for a damaged file
        raise UsageError(f"{path} is not a whole HDF5 file of Keras: {one_line(error)}") from None
    if outside:
        raise UsageError(f"{path} has {outside} in another file: copy it into this one.")
    if config is None:
        raise UsageError(
            f"{path} holds weights and no model: build the model in Python, load them with "
            f"model.load_weights('{path.name}'), and save it with model.save."
        )
    # Keras wrote no version before 2.0.5.
    return attributes.get("keras_version", "2.0"), config


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _outside(group: Any) -> Iterator[str]:
    """The names of what a file of HDF5 only refers to, in other files of the machine."""
    import h5py

    for name in group:
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            yield str(name)
        elif not isinstance(link, h5py.SoftLink):
            value = group[name]
            if isinstance(value, h5py.Group):
                yield from _outside(value)
            elif value.external or value.is_virtual:
                yield str(name)


def _lambda_layers(config: Any) -> Iterator[str]:
    """The names of Lambda layers in a model's config."""
    if isinstance(config, dict):
        if config.get("class_name") == "Lambda" and isinstance(config.get("config"), dict):
            yield str(config["config"].get("name"))
        config = list(config.values())
    if isinstance(config, list):
        for value in config:
            yield from _lambda_layers(value)


def _foreign_modules(config: Any, imports: Sequence[str]) -> Iterator[str]:
    """What a config has of modules that are not Keras's, and that nobody named."""
    if isinstance(config, dict):
        module, known = config.get("module"), {*_OF_KERAS, *(i.split(".")[0] for i in imports)}
        if isinstance(module, str) and module.split(".")[0] not in known:
            yield f"{config.get('class_name')} of {module}"
        config = list(config.values())
    if isinstance(config, list):
        for value in config:
            yield from _foreign_modules(value, imports)
