"""Source -> Bundle: the one place that runs the formats."""

import hashlib
import shutil
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from portproof.bundle import atomic
from portproof.bundle.bundle import CARD, MANIFEST, Bundle, write_manifest
from portproof.bundle.digest import folder_records
from portproof.bundle.errors import ExportError, PortproofError, UsageError, described
from portproof.bundle.manifest import REGIMES, Artifact, LeftOut, Manifest, Origin, Regime
from portproof.formats import litert_kernels
from portproof.formats.format import Format
from portproof.formats.refusals import refusal
from portproof.formats.table import SAVEDMODEL, select
from portproof.formats.variant_budgets import VariantMeasurement
from portproof.reporting.card import render_card
from portproof.sources.functions import traced_function
from portproof.sources.keras_models import layers_of
from portproof.sources.source import Source
from portproof.vectors.computing import TestedFunction
from portproof.vectors.writing import Observer, WrittenVectors, write_vectors

# Whose versions the manifest records.
PACKAGES = ("portproof", "tensorflow", "keras", "numpy", "safetensors")
Log = Callable[[str], None]


def export_source(
    source: Source,
    path: str | Path,
    log: Log = lambda _: None,
    formats: Sequence[Format] | None = None,
    required: Collection[str] = (),
    regimes: Collection[Regime] = REGIMES,
) -> Bundle:
    """Export a source to `formats`, with its test vectors, as the bundle `path`.

    A bundle at `path` is replaced when the new one is whole, and stays if anything is raised.

    Args:
        source: The source.
        path: The bundle's folder.
        log: Called with each step, as a line of text.
        formats: The formats; None: all.
        required: Full names of formats that must not be left out: where one cannot carry the model,
            ExportError is raised. Any other is left out, with the reason in the manifest.
        regimes: The regimes that get test vectors.

    Raises:
        ExportError: The model cannot be exported.
        UsageError: `path` holds something other than a bundle.
    """
    path = _replaceable(Path(path))
    with ExitStack() as stack:
        stack.callback(litert_kernels.stop)
        folder = stack.enter_context(atomic.folder(path))
        # Before anything is written: TensorFlow's saver traces a module's own functions once more.
        traced = tuple(traced_function(n, f) for n, f in source.functions.items())
        artifacts, steps, left_out = _write_artifacts(
            source, folder, select() if formats is None else formats, required, log
        )
        functions = [
            TestedFunction(n, f, source.examples[n], source.labels.get(n, {}))
            for n, f in source.functions.items()
        ]
        functions += steps
        measurements = {
            artifact.name: VariantMeasurement(source, folder, artifact)
            for artifact in artifacts
            if artifact.format == "tflite" and artifact.variant and not artifact.budgets
        }
        log(f"{source.name}: test vectors")
        written = _write_vectors(source.name, functions, folder, regimes, [*measurements.values()])
        if source.draw_plots:
            log(f"{source.name}: plots")
            (folder / "plots").mkdir()
            source.draw_plots(folder / "plots")
        manifest = Manifest(
            model=source.name,
            source=_origin(source),
            packages={name: version(name) for name in PACKAGES},
            signatures={function.name: function.signature for function in functions},
            functions=traced,
            artifacts=tuple(_with_budgets(a, measurements.get(a.name)) for a in artifacts),
            left_out=left_out,
            layers=layer_names(source),
            structures=dict(source.structures),
            generated_inputs=tuple(sorted(source.generated_inputs)),
            shader_ops=written.shader_ops,
            float32_only_ops=written.float32_only_ops,
            row_dependent=tuple(written.row_dependent),
            vectors=tuple(written.vectors),
            plots=folder_records(folder, "plots"),
        )
        write_manifest(folder, manifest)
        atomic.write_text(folder / CARD, render_card(path, manifest))
    return Bundle.open_unchecked(path)


def _replaceable(path: Path) -> Path:
    """The path, resolved. Raises UsageError where something is there that is no bundle."""
    path = path.resolve()
    if path.is_dir() and any(path.iterdir()) and not (path / MANIFEST).is_file():
        raise UsageError(
            f"{path} is a folder that holds something else than a bundle: name another."
        )
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path} is a file: name a folder for the bundle.")
    return path


def _write_artifacts(
    source: Source, folder: Path, formats: Sequence[Format], required: Collection[str], log: Log
) -> tuple[list[Artifact], list[TestedFunction], tuple[LeftOut, ...]]:
    """The artifacts, the training steps that they have, and the formats that were left out."""
    artifacts: list[Artifact] = []
    steps: list[TestedFunction] = []
    left_out: list[LeftOut] = []
    for format_ in formats:
        log(f"{source.name}: {format_.full_name}")
        try:
            artifact, artifact_steps = _write_artifact(format_, source, folder)
        except ExportError as error:
            if format_.name == SAVEDMODEL or format_.full_name in required:
                raise
            shutil.rmtree(folder / format_.folder, ignore_errors=True)
            log(f"{source.name}: left out {format_.full_name}: {error}")
            left_out.append(LeftOut(format=format_.full_name, reason=str(error)))
        else:
            artifacts.append(artifact)
            steps += artifact_steps
    return artifacts, steps, tuple(left_out)


def _write_artifact(
    format_: Format, source: Source, folder: Path
) -> tuple[Artifact, tuple[TestedFunction, ...]]:
    if format_.of_keras and not source.keras_forms:
        raise ExportError(f"only a keras.Model becomes one, and {source.name} is none")
    try:
        written = format_.write(source, folder, format_.folder)
    except PortproofError:
        raise
    except Exception as error:  # whatever a converter raises, in one line instead of a traceback
        raise refusal(format_, source, error) from error
    artifact = Artifact(
        format=format_.name,
        variant=format_.variant,
        endpoints=written.endpoints,
        files=folder_records(folder, format_.folder),
        graph=format_.graph,
        notes=written.notes,
        budgets=written.budgets,
    )
    return artifact, written.training_steps


def _with_budgets(artifact: Artifact, measurement: VariantMeasurement | None) -> Artifact:
    if measurement is None:
        return artifact
    return artifact.model_copy(update={"budgets": measurement.budgets()})


def _write_vectors(
    name: str,
    functions: Sequence[TestedFunction],
    folder: Path,
    regimes: Collection[Regime],
    observers: Sequence[Observer],
) -> WrittenVectors:
    try:
        return write_vectors(functions, folder, regimes, observers)
    except PortproofError:
        raise
    except Exception as error:
        raise ExportError(f"{name} gives no test vectors: {described(error, 600)}") from error


def layer_names(source: Source) -> tuple[str, ...]:
    """The names of a Keras model's layers, those inside other layers too."""
    return tuple(dict.fromkeys(layer.name for layer in layers_of(source.model)))


def _origin(source: Source) -> Origin:
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
