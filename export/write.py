"""Source -> Bundle: the one place that runs the exporters."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import keras
import numpy as np

from bundle import atomic, digest
from bundle.bundle import MANIFEST, Bundle, write_manifest
from bundle.errors import ExportError, PortproofError, UsageError
from bundle.manifest import Artifact, LeftOut, Manifest, Origin, Vector
from export import tracing, vectors
from export.formats import FORMATS, Format
from export.source import Source
from export.train_step import with_training

PACKAGES = ("portproof", "tensorflow", "keras", "tensorflowjs", "numpy", "safetensors")
Log = Callable[[str], None]


def write(
    source: Source,
    path: str | Path,
    log: Log = lambda _: None,
    formats: Sequence[Format] = FORMATS,
) -> Bundle:
    """Export a source to `formats`, with its test vectors, as the bundle `path`.

    A format that cannot carry the model is left out, which the manifest and the report say with
    the reason. What stood at `path` is replaced when the new bundle is whole, and stays if
    anything is raised. Raises UsageError where `path` holds something else than a bundle.
    """
    path = _replaceable(Path(path))
    with atomic.folder(path) as folder:
        # Before anything is written: TensorFlow's saver traces a module's own functions once more.
        functions = tuple(tracing.describe(n, f) for n, f in source.functions.items())
        trained = with_training(source)
        artifacts, left_out = _write_artifacts(trained, folder, formats, log)
        if not any(
            name in artifact.endpoints for name in trained.training for artifact in artifacts
        ):
            trained = replace(trained, training={})
        log(f"{source.name}: test vectors")
        cases, shaded = _write_vectors(trained, folder)
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
            shaded=shaded,
            vectors=cases,
            plots=digest.describe_all(folder, "plots"),
        )
        write_manifest(folder, manifest)
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
    source: Source, folder: Path, formats: Sequence[Format], log: Log
) -> tuple[tuple[Artifact, ...], tuple[LeftOut, ...]]:
    artifacts, left_out = [], []
    for format_ in formats:
        if format_.of_keras and not source.keras_forms:
            left_out.append(LeftOut(format=format_.name, reason="the source states no Keras form"))
            continue
        log(f"{source.name}: {format_.name}")
        try:
            artifacts.append(_write_artifact(format_, source, folder))
        except ExportError as error:
            if not format_.optional:
                raise
            log(f"{source.name}: left out {format_.name}: {error}")
            left_out.append(LeftOut(format=format_.name, reason=str(error)))
    return tuple(artifacts), tuple(left_out)


def _write_vectors(
    source: Source, folder: Path
) -> tuple[tuple[Vector, ...], dict[str, tuple[str, ...]]]:
    try:
        return vectors.write(source, folder)
    except PortproofError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:600]
        raise ExportError(
            f"{source.name} gives no test vectors: {type(error).__name__}: {reason}"
        ) from error


def _write_artifact(format_: Format, source: Source, folder: Path) -> Artifact:
    try:
        endpoints = format_.write(source, folder)
    except PortproofError:
        raise
    except Exception as error:  # whatever a converter raises, in one line instead of a traceback
        reason = " ".join(str(error).split())[:600]
        raise ExportError(
            f"{source.name} cannot be written as {format_.name}: {type(error).__name__}: {reason}"
        ) from error
    return Artifact(
        format=format_.name,
        endpoints=endpoints,
        files=digest.describe_all(folder, format_.name),
        graph=format_.graph,
    )


def layers(source: Source) -> tuple[str, ...]:
    """The names of a Keras model's layers, those inside other layers too."""
    if not isinstance(source.model, keras.Model):
        return ()
    found = [layer.name for layer in source.model._flatten_layers(include_self=False)]
    return tuple(dict.fromkeys(found))


def origin(source: Source) -> Origin:
    """The kind of the model, and a SHA-256 over its signatures and the bytes of its variables."""
    sha = hashlib.sha256()
    for name, signature in sorted(source.signatures.items()):
        sha.update(f"{name}{signature}\n".encode())
    values = [np.asarray(variable) for variable in source.model.variables]
    for value in values:
        sha.update(f"{value.dtype}{value.shape}\n".encode())
        sha.update(value.tobytes())
    kind = "keras.Model" if isinstance(source.model, keras.Model) else "tf.Module"
    return Origin(kind=kind, digest=sha.hexdigest(), parameters=sum(v.size for v in values))
