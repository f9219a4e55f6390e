"""A model in memory, on disk, or made by a function, becomes a Source."""

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from portproof.bundle.errors import ExportError, PortproofError, UsageError, described
from portproof.sources.examples import complete_labels
from portproof.sources.keras2_models import from_keras2, is_keras2
from portproof.sources.keras_backends import from_other_backend
from portproof.sources.keras_files import load_keras_file
from portproof.sources.keras_models import from_keras
from portproof.sources.modules import from_module, from_saved_model
from portproof.sources.names import KINDS, check_name
from portproof.sources.source import Source


def make_source(
    model: Any,
    *,
    name: str = "",
    signatures: Mapping[str, Any] | Sequence[str] | None = None,
    inputs: Any = None,
    labels: Any = None,
    imports: Sequence[str] = (),
    keras_forms: Mapping[str, keras.Model] | None = None,
    draw_plots: Callable[[Path], None] | None = None,
) -> Source:
    """See `portproof.make_source`, which documents it."""
    for module in imports:
        _import(module)
    if isinstance(model, str | Path):
        default_name, model = _load(str(model), imports)
    else:
        default_name = str(getattr(model, "name", ""))
    if isinstance(model, Source):
        if signatures or inputs is not None:
            raise UsageError("a Source has its own signatures and its own example inputs.")
        source = model
    else:
        source = _from_object(name or default_name, model, signatures, inputs, imports)
    changes: dict[str, Any] = {"name": name or source.name}
    if keras_forms:
        changes["keras_forms"] = keras_forms
    if given := complete_labels(source.functions, labels):
        if source.generated_inputs & set(given):
            raise UsageError("labels are of the model's own data: give its inputs too.")
        changes["labels"] = given
    if draw_plots:
        changes["draw_plots"] = draw_plots
    return replace(source, **changes)


def _from_object(
    name: str, model: Any, signatures: Any, inputs: Any, imports: Sequence[str]
) -> Source:
    if isinstance(model, keras.Model) or is_keras2(model):
        if signatures:
            raise UsageError(
                "signatures cannot be chosen here: a Keras model has the one signature "
                "serving_default."
            )
        if is_keras2(model):
            return from_keras2(name, model, inputs)
        if keras.backend.backend() != "tensorflow":
            return from_other_backend(name, model, inputs, imports)
        return from_keras(name, model, inputs)
    if _is_loaded_saved_model(model):
        return from_saved_model(name or "model", model, inputs, tuple(signatures or ()))
    if isinstance(model, tf.Module):
        return from_module(name, model, inputs, _functions_by_name(model, signatures))
    raise UsageError(
        f"cannot export a {type(model).__name__}: give a tf.Module, a keras.Model, "
        f"a Source, {KINDS}."
    )


def _functions_by_name(module: tf.Module, signatures: Any) -> Any:
    """Functions by signature, also where only their names were given."""
    if signatures is None or isinstance(signatures, Mapping):
        return signatures
    if unknown := [name for name in signatures if not hasattr(module, name)]:
        raise UsageError(f"{type(module).__name__} has no {', '.join(unknown)}.")
    return {name: getattr(module, name) for name in signatures}


def _load(reference: str, imports: Sequence[str]) -> tuple[str, Any]:
    """A name for the bundle, and the model that a string refers to."""
    check_name(reference)
    path = Path(reference)
    if path.is_file():
        return path.stem, load_keras_file(path, imports)
    if path.is_dir():
        return path.resolve().name, _load_saved_model(path)
    return _call_reference(reference)


def _is_loaded_saved_model(model: Any) -> bool:
    """Whether `tf.saved_model.load` returned it. What that returns has no public class."""
    return type(getattr(model, "signatures", None)).__name__ == "_SignatureMap"


def _load_saved_model(path: Path) -> Any:
    if not tf.saved_model.contains_saved_model(str(path)):
        raise UsageError(f"{path} is no SavedModel, it has no saved_model.pb: give {KINDS}.")
    try:
        return tf.saved_model.load(str(path))
    except Exception as error:
        raise ExportError(f"{path} does not load: {described(error)}") from None


def _call_reference(reference: str) -> tuple[str, Any]:
    """What `package.module:function` returns; an attribute that is a model is taken as it is."""
    module_name, _, attribute = reference.partition(":")
    value: Any = _import(module_name)
    for part in attribute.split("."):
        if not hasattr(value, part):
            raise UsageError(f"{module_name} has no {attribute}.")
        value = getattr(value, part)
    kinds = (tf.Module, keras.Model, Source)
    if not isinstance(value, kinds) and callable(value):
        try:
            value = value()
        except PortproofError:
            raise
        except Exception as error:
            raise ExportError(f"{reference}() raised {described(error)}") from error
    if not isinstance(value, kinds) and not _is_loaded_saved_model(value):
        raise UsageError(
            f"{reference} gave a {type(value).__name__}: it must return a tf.Module, a keras.Model "
            "or a Source."
        )
    return attribute.split(".")[-1], value


def _import(name: str) -> Any:
    """Import a module of the person's own, from the current folder too."""
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise UsageError(f"{name} cannot be imported: {described(error)}") from error
