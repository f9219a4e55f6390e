"""Source -> Bundle: the one place that runs the exporters."""

import hashlib
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import keras
import numpy as np

from bundle import atomic, digest
from bundle.bundle import Bundle, write_manifest
from bundle.errors import ExportError, PortproofError
from bundle.manifest import Artifact, Manifest, Origin
from export import tracing, vectors
from export.formats import FORMATS, Format
from export.source import Source

PACKAGES = ("portproof", "tensorflow", "keras", "tensorflowjs", "numpy", "safetensors")


def write(source: Source, path: str | Path, log: Callable[[str], None] = lambda _: None) -> Bundle:
    """Export a source to every format, with its test vectors, as the bundle `path`.

    What stood at `path` is replaced when the new bundle is whole, and stays if anything is raised.
    """
    with atomic.folder(Path(path)) as folder:
        # Before anything is written: TensorFlow's saver traces a module's own functions once more.
        functions = tuple(tracing.describe(n, f) for n, f in source.functions.items())
        artifacts = []
        for format_ in FORMATS:
            if format_.name == "keras" and not source.keras_forms:
                continue
            log(f"{source.name}: {format_.name}")
            artifacts.append(_write_artifact(format_, source, folder))
        log(f"{source.name}: test vectors")
        cases = vectors.write(source, folder)
        if source.draw_plots:
            log(f"{source.name}: plots")
            (folder / "plots").mkdir()
            source.draw_plots(folder / "plots")
        manifest = Manifest(
            model=source.name,
            source=origin(source),
            packages={name: version(name) for name in PACKAGES},
            signatures=source.signatures,
            functions=functions,
            artifacts=tuple(artifacts),
            vectors=cases,
            plots=digest.describe_all(folder, "plots"),
        )
        write_manifest(folder, manifest)
    return Bundle.peek(path)


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
