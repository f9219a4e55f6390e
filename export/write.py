"""Source -> Bundle: the one place that runs the exporters."""

import hashlib
import shutil
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bundle import atomic, card, digest
from bundle.bundle import MANIFEST, Bundle, write_manifest
from bundle.errors import ExportError, PortproofError, UsageError, one_line
from bundle.manifest import REGIMES, Artifact, LeftOut, Manifest, Origin, Regime
from export import budgets, tracing, vectors
from export.formats import SAVEDMODEL, select
from export.formats.format import Format
from export.keras_models import layers_of
from export.refusals import refusal
from export.source import Source
from export.train_step import with_training

PACKAGES = ("portproof", "tensorflow", "keras", "tensorflowjs", "numpy", "safetensors")
Log = Callable[[str], None]


def write(
    source: Source,
    path: str | Path,
    log: Log = lambda _: None,
    formats: Sequence[Format] | None = None,
    asked: Collection[str] = (),
    regimes: Collection[Regime] = REGIMES,
) -> Bundle:
    """Export a source to `formats`, with its test vectors, as the bundle `path`.

    Without `formats` to all, with vectors of all `regimes`. A format that cannot carry the model is
    left out, which the manifest and the report say with the reason; one of those `asked` for, by
    full name, raises ExportError instead. What stood at `path` is replaced when the new bundle is
    whole, and stays if anything is raised. Raises UsageError where `path` holds something else
    than a bundle.
    """
    path = _replaceable(Path(path))
    with atomic.folder(path) as folder:
        # Before anything is written: TensorFlow's saver traces a module's own functions once more.
        functions = tuple(tracing.describe(n, f) for n, f in source.functions.items())
        trained = with_training(source)
        artifacts, left_out = _write_artifacts(
            trained, folder, select() if formats is None else formats, asked, log
        )
        if not any(
            name in artifact.endpoints for name in trained.training for artifact in artifacts
        ):
            trained = replace(trained, training={})
        log(f"{source.name}: test vectors")
        written = _write_vectors(trained, folder, regimes)
        artifacts, cases = budgets.declared(trained, folder, artifacts, written.vectors)
        if source.draw_plots:
            log(f"{source.name}: plots")
            (folder / "plots").mkdir()
            source.draw_plots(folder / "plots")
        manifest = Manifest(
            model=source.name,
            source=origin(source),
            packages={name: version(name) for name in PACKAGES},
            signatures=trained.signatures,
            functions=functions,
            artifacts=artifacts,
            left_out=left_out,
            layers=layers(source),
            structures=dict(source.structures),
            drawn=tuple(sorted(source.drawn)),
            shaded=written.shaded,
            narrow=written.narrow,
            vectors=cases,
            plots=digest.describe_all(folder, "plots"),
        )
        write_manifest(folder, manifest)
        atomic.write_text(folder / card.CARD, card.render(path, manifest))
    return Bundle.peek(path)


def _replaceable(path: Path) -> Path:
    """The path, resolved. Raises UsageError where something stands there that is no bundle."""
    path = path.resolve()
    if path.is_dir() and any(path.iterdir()) and not (path / MANIFEST).is_file():
        raise UsageError(
            f"{path} is a folder that holds something else than a bundle: name another."
        )
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path} is a file: name a folder for the bundle.")
    return path


def _write_artifacts(
    source: Source, folder: Path, formats: Sequence[Format], asked: Collection[str], log: Log
) -> tuple[tuple[Artifact, ...], tuple[LeftOut, ...]]:
    """The artifacts, and the formats that cannot carry the model; one of those asked for raises."""
    artifacts, left_out = [], []
    for format_ in formats:
        log(f"{source.name}: {format_.full_name}")
        try:
            artifacts.append(_write_artifact(format_, source, folder))
        except ExportError as error:
            if format_.name == SAVEDMODEL or format_.full_name in asked:
                raise
            shutil.rmtree(folder / format_.folder, ignore_errors=True)
            log(f"{source.name}: left out {format_.full_name}: {error}")
            left_out.append(LeftOut(format=format_.full_name, reason=str(error)))
    return tuple(artifacts), tuple(left_out)


def _write_vectors(source: Source, folder: Path, regimes: Collection[Regime]) -> vectors.Written:
    try:
        return vectors.write(source, folder, regimes)
    except PortproofError:
        raise
    except Exception as error:
        reason = one_line(error, 600)
        raise ExportError(
            f"{source.name} gives no test vectors: {type(error).__name__}: {reason}"
        ) from error


def _write_artifact(format_: Format, source: Source, folder: Path) -> Artifact:
    if format_.of_keras and not source.keras_forms:
        raise ExportError(f"only a keras.Model becomes one, and {source.name} is none")
    try:
        written = format_.write(source, folder, format_.folder)
    except PortproofError:
        raise
    except Exception as error:  # whatever a converter raises, in one line instead of a traceback
        raise refusal(format_, source, error) from error
    return Artifact(
        format=format_.name,
        variant=format_.variant,
        endpoints=written.endpoints,
        files=digest.describe_all(folder, format_.folder),
        graph=format_.graph,
        notes=written.notes,
        budgets=written.budgets,
    )


def layers(source: Source) -> tuple[str, ...]:
    """The names of a Keras model's layers, those inside other layers too."""
    return tuple(dict.fromkeys(layer.name for layer in layers_of(source.model)))


def origin(source: Source) -> Origin:
    """The kind of the model, and a SHA-256 over its signatures and the bytes of its variables."""
    sha = hashlib.sha256()
    for name, signature in sorted(source.signatures.items()):
        sha.update(f"{name}{signature}\n".encode())
    values = [np.asarray(variable) for variable in source.variables]
    for value in values:
        sha.update(f"{value.dtype}{value.shape}\n".encode())
        sha.update(value.tobytes())
    return Origin(
        kind=_kind(source.model), digest=sha.hexdigest(), parameters=sum(v.size for v in values)
    )


def _kind(model: Any) -> str:
    if isinstance(model, keras.Model):
        return "keras.Model"
    return "tf.Module" if isinstance(model, tf.Module) else "SavedModel"
