"""What a person names becomes a Source: a model in memory, on disk, or made by a function."""

import importlib
import json
import re
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from bundle.errors import ExportError, PortproofError, UsageError, one_line
from export import models
from export.keras_models import from_keras, lambda_message
from export.models.state import State
from export.modules import from_module, from_saved_model
from export.named import KINDS, check
from export.source import Source


def open_source(
    model: Any,
    *,
    signatures: Mapping[str, Any] | Sequence[str] | None = None,
    inputs: Any = None,
    imports: Sequence[str] = (),
    training: Path = Path("training"),
    log: Callable[[str], None] = lambda _: None,
) -> Source:
    """A Source of what `portproof.export` is given, which says what that may be.

    Raises UsageError where there is no such thing, ExportError where it cannot be exported.
    """
    for name in imports:
        _imported(name)
    if isinstance(model, Path):
        model = str(model)
    if isinstance(model, str):
        name, model = _named(model, training, log)
    else:
        name = str(getattr(model, "name", ""))
    if isinstance(model, Source):
        return _plain(model, signatures, inputs)
    if isinstance(model, keras.Model):
        _refuse(signatures, "a Keras model has the one signature serving_default")
        return from_keras(name, model, inputs)
    if _is_loaded(model):
        return from_saved_model(name or "model", model, inputs, tuple(signatures or ()))
    if isinstance(model, tf.Module):
        return from_module(name, model, inputs, _functions(model, signatures))
    raise UsageError(
        f"cannot export a {type(model).__name__}: give a tf.Module, a keras.Model, "
        f"a Source, {KINDS}."
    )


def _plain(source: Source, signatures: Any, inputs: Any) -> Source:
    _refuse(signatures, "a Source has its own")
    if inputs is not None:
        raise UsageError("a Source has its own example inputs.")
    return source


def _refuse(signatures: Any, reason: str) -> None:
    if signatures:
        raise UsageError(f"signatures cannot be chosen here: {reason}.")


def _functions(module: tf.Module, signatures: Any) -> Any:
    """Functions by signature, where their names alone were given too."""
    if signatures is None or isinstance(signatures, Mapping):
        return signatures
    if unknown := [name for name in signatures if not hasattr(module, name)]:
        raise UsageError(f"{type(module).__name__} has no {', '.join(unknown)}.")
    return {name: getattr(module, name) for name in signatures}


def _named(model: str, training: Path, log: Callable[[str], None]) -> tuple[str, Any]:
    """What a string names, and a name for its bundle."""
    check(model)
    path = Path(model)
    if model in models.MODELS:
        return model, _built_in(model, training / model, log)
    if path.is_file():
        return path.stem, _keras_file(path)
    if path.is_dir():
        return path.resolve().name, _saved_model(path)
    return _made(model)


def _built_in(name: str, folder: Path, log: Callable[[str], None]) -> Source:
    module = models.load(name)
    if not State.is_finished(folder):
        log(f"{name} is not trained yet: training it")
        module.train(folder, log=log)
    source: Source = module.source(folder)
    return source


def _keras_file(path: Path) -> keras.Model:
    """A model from a `.keras` file, in safe mode: nothing in the file is run as code."""
    try:
        with zipfile.ZipFile(path) as file:
            config = json.loads(file.read("config.json"))
    except (zipfile.BadZipFile, KeyError, ValueError):
        raise UsageError(
            f"{path} is not a whole .keras file: save it again with model.save('{path.name}')."
        ) from None
    if lambdas := _lambdas(config):
        raise ExportError(lambda_message(path.name, lambdas))
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except (TypeError, ValueError, OSError) as error:
        unknown = re.search(r"Could not locate (?:class|function) '([^']+)'", str(error))
        if unknown:
            raise UsageError(
                f"{path} holds {unknown[1]}, which Keras does not know: name the Python module "
                "that defines it (with @keras.saving.register_keras_serializable()): "
                "--import package.module."
            ) from None
        raise ExportError(f"{path} does not load: {one_line(error)}") from None


def _lambdas(config: Any) -> list[str]:
    """The names of Lambda layers in a model's config."""
    found = []
    if isinstance(config, dict):
        if config.get("class_name") == "Lambda" and isinstance(config.get("config"), dict):
            found.append(str(config["config"].get("name")))
        config = list(config.values())
    if isinstance(config, list):
        for value in config:
            found += _lambdas(value)
    return found


def _is_loaded(model: Any) -> bool:
    """Whether this is what `tf.saved_model.load` gives, which has no public class."""
    return type(getattr(model, "signatures", None)).__name__ == "_SignatureMap"


def _saved_model(path: Path) -> Any:
    if not tf.saved_model.contains_saved_model(str(path)):
        raise UsageError(f"{path} is no SavedModel, for it has no saved_model.pb: give {KINDS}.")
    try:
        return tf.saved_model.load(str(path))
    except Exception as error:
        reason = one_line(error)
        raise ExportError(f"{path} does not load: {type(error).__name__}: {reason}") from None


def _made(name: str) -> tuple[str, Any]:
    """What `package.module:function` returns; an attribute that is a model is taken as it is."""
    module_name, _, attribute = name.partition(":")
    found: Any = _imported(module_name)
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise UsageError(f"{module_name} has no {attribute}.")
        found = getattr(found, part)
    kinds = (tf.Module, keras.Model, Source)
    if not isinstance(found, kinds) and callable(found):
        try:
            found = found()
        except PortproofError:
            raise
        except Exception as error:
            reason = one_line(error)
            raise ExportError(f"{name}() raised {type(error).__name__}: {reason}") from error
    if not isinstance(found, kinds) and not _is_loaded(found):
        raise UsageError(
            f"{name} gave a {type(found).__name__}: it must return a tf.Module, a keras.Model or "
            "a Source."
        )
    return attribute.split(".")[-1], found


def _imported(name: str) -> Any:
    """Import a module of the person's own, from the current folder too."""
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except Exception as error:
        reason = one_line(error)
        raise UsageError(f"{name} cannot be imported: {type(error).__name__}: {reason}") from error
