"""Source -> Bundle: the one place that runs the formats."""

import hashlib
import os
import shutil
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from portproof.bundle import atomic
from portproof.bundle.bundle import CARD, Bundle, replaceable, tell_lost, write_manifest
from portproof.bundle.digest import File, folder_records
from portproof.bundle.errors import ExportError, PortproofError, described
from portproof.bundle.manifest import (
    REGIMES,
    SCHEMA,
    Artifact,
    LeftOut,
    Manifest,
    Origin,
    Regime,
    Vector,
    folder_name,
)
from portproof.formats.converting import (
    Converters,
    converters_for,
    fits_beside_oracle,
    number_for,
)
from portproof.formats.format import Format, Refusal, Written
from portproof.formats.refusals import attempt, refused
from portproof.formats.table import SAVEDMODEL, select
from portproof.formats.variant_budgets import KernelError, Measured, MeasuredOn, measure_variant
from portproof.reporting.card import render_card
from portproof.sources.functions import traced_function
from portproof.sources.keras2_models import is_keras2
from portproof.sources.source import Source
from portproof.vectors.computing import TestedFunction
from portproof.vectors.writing import WrittenVectors, write_vectors

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
    path, chosen = replaceable(Path(path)), select() if formats is None else formats
    tell_lost({source.name: path}, log)
    with ExitStack() as stack:
        folder = stack.enter_context(atomic.folder(path))
        converters = stack.enter_context(converters_for(chosen))
        # Before anything is written: TensorFlow's saver traces a module's own functions once more.
        traced = tuple(traced_function(n, f) for n, f in source.functions.items())
        for name, reason in source.left_out_signatures.items():
            log(f"{source.name}: left out the signature {name}: {reason}")
        artifacts = _Artifacts(source, folder, chosen, required, log)
        weights = _bytes_of(source)
        threads = ThreadPoolExecutor(number_for(weights))
        stack.callback(threads.shutdown, wait=False, cancel_futures=True)
        artifacts.write(converters, threads)
        if converters and not fits_beside_oracle(weights):
            artifacts.wait()
            converters.end_idle()
        functions = [
            TestedFunction(
                n, f, source.examples[n], source.labels.get(n, {}), original=source.original
            )
            for n, f in source.functions.items()
        ]
        functions += artifacts.training_steps
        log(f"{source.name}: test vectors")
        written = _write_vectors(source.name, functions, folder, regimes)
        if source.draw_plots:
            log(f"{source.name}: plots")
            (folder / "plots").mkdir()
            source.draw_plots(folder / "plots")
        signatures = {function.name: function.signature for function in functions}
        on = MeasuredOn(folder, signatures, written.vectors, written.row_dependent)
        measuring = ThreadPoolExecutor(os.cpu_count())
        stack.callback(measuring.shutdown, wait=False, cancel_futures=True)
        artifacts.finish(on, measuring)
        manifest = Manifest(
            schema=SCHEMA,
            model=source.name,
            source=_origin(source),
            packages=_packages(source),
            signatures=signatures,
            functions=traced,
            artifacts=artifacts.written,
            left_out=artifacts.left_out,
            left_out_signatures=dict(source.left_out_signatures),
            layers=source.layers,
            structures=dict(source.structures),
            generated_inputs=tuple(sorted(source.generated_inputs)),
            shader_ops=written.shader_ops,
            float32_only_ops=written.float32_only_ops,
            row_dependent=tuple(written.row_dependent),
            operations=written.operations,
            vectors=tuple(artifacts.with_variants(vector) for vector in written.vectors),
            plots=folder_records(folder, "plots"),
        )
        write_manifest(folder, manifest)
        atomic.write_text(folder / CARD, render_card(path, manifest))
    return Bundle.open_unchecked(path)


class _Artifacts:
    """The artifacts of one export: what needs the model is written here, the rest is converted.

    Args:
        source: The source.
        folder: The bundle's folder.
        formats: The formats, of which SavedModel is the first.
        required: Full names of formats that must not be left out.
        log: Called with each step.
    """

    def __init__(
        self,
        source: Source,
        folder: Path,
        formats: Sequence[Format],
        required: Collection[str],
        log: Log,
    ) -> None:
        self._source, self._folder, self._formats = source, folder, formats
        self._required, self._log = required, log
        self._artifacts: dict[str, Artifact] = {}
        self._left_out: dict[str, LeftOut] = {}
        self._pending: list[tuple[list[Format], Future[list[Written | Refusal]]]] = []
        self._variant_files: dict[tuple[str, str], list[File]] = {}
        self.training_steps: list[TestedFunction] = []

    @property
    def written(self) -> tuple[Artifact, ...]:
        """The artifacts, in the order of the formats."""
        names = [format_.full_name for format_ in self._formats]
        return tuple(self._artifacts[name] for name in names if name in self._artifacts)

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """The formats that cannot carry the model, in their order."""
        names = [format_.full_name for format_ in self._formats]
        return tuple(self._left_out[name] for name in names if name in self._left_out)

    def write(self, converters: Converters | None, threads: Executor) -> None:
        """Write what is made of the model, and begin to convert the SavedModel to the others."""
        [saved_model] = [f for f in self._formats if f.name == SAVEDMODEL]
        self._write(saved_model)
        apart: dict[str, list[Format]] = {}
        for format_ in self._formats:
            if format_.of_saved_model:
                apart.setdefault(format_.name, []).append(format_)
        for formats in apart.values():
            assert converters
            future = converters.start(formats, self._source.saved, self._folder, threads)
            self._pending.append((formats, future))
        for format_ in self._formats:
            if not format_.of_saved_model and format_ is not saved_model:
                self._write(format_)

    def wait(self) -> None:
        """Wait until nothing is being converted any more."""
        wait([future for _, future in self._pending])

    def finish(self, on: MeasuredOn, threads: Executor) -> None:
        """Wait for what is being converted, and measure the variants that declare an error."""
        for formats, future in self._pending:
            for format_, written in zip(formats, future.result(), strict=True):
                self._log(f"{self._source.name}: {format_.full_name}")
                self._add(format_, written)
        self._note_larger()
        arithmetics = {format_.full_name: format_.arithmetic for format_ in self._formats}
        measuring = {
            artifact.name: threads.submit(measure_variant, artifact, on, arithmetic)
            for artifact in self.written
            if (arithmetic := arithmetics.get(artifact.name)) and not artifact.budgets
        }
        for name, measured in measuring.items():
            self._add_measured(name, measured)

    def _note_larger(self) -> None:
        """Say of which variants a person gets nothing."""
        for name, artifact in self._artifacts.items():
            plain = self._artifacts.get(artifact.format)
            if artifact.variant and plain and artifact.size > plain.size:
                note = f"larger than {plain.name} ({plain.size:,} bytes): the model is too small"
                update = {"notes": (*artifact.notes, note)}
                self._artifacts[name] = artifact.model_copy(update=update)

    def with_variants(self, vector: Vector) -> Vector:
        """A case with the files of what variants give."""
        files = self._variant_files.get((vector.signature, vector.case), [])
        return vector.model_copy(update={"variants": tuple(files)})

    def _write(self, format_: Format) -> None:
        self._log(f"{self._source.name}: {format_.full_name}")
        if format_.of_keras and not self._source.keras_forms:
            reason = f"only a keras.Model becomes one, and {self._source.name} is none"
            self._add(format_, Refusal(reason, is_told=True))
        else:
            self._add(format_, attempt(format_, self._source, self._folder))

    def _add(self, format_: Format, written: Written | Refusal) -> None:
        if isinstance(written, Refusal):
            self._leave_out(format_.full_name, refused(format_, self._source, written))
            return
        self._artifacts[format_.full_name] = Artifact(
            format=format_.name,
            variant=format_.variant,
            endpoints=written.endpoints,
            files=folder_records(self._folder, format_.folder),
            graph=format_.graph,
            notes=written.notes,
            budgets=written.budgets,
        )
        self.training_steps += written.training_steps

    def _leave_out(self, name: str, error: ExportError) -> None:
        if name == SAVEDMODEL or name in self._required:
            raise error
        shutil.rmtree(self._folder / folder_name(name), ignore_errors=True)
        self._log(f"{self._source.name}: left out {name}: {error}")
        self._left_out[name] = LeftOut(format=name, reason=str(error))

    def _add_measured(self, name: str, future: Future[Measured]) -> None:
        try:
            measured = future.result()
        except Exception as error:
            del self._artifacts[name]
            told = isinstance(error, PortproofError | KernelError)
            reason = str(error) if told else described(error)
            reason = f"it does not run on the test vectors: {reason}"
            self._leave_out(name, ExportError(f"{self._source.name} as {name}: {reason}"))
            return
        update = {"budgets": measured.budgets}
        self._artifacts[name] = self._artifacts[name].model_copy(update=update)
        for key, file in measured.files.items():
            self._variant_files.setdefault(key, []).append(file)


def _bytes_of(source: Source) -> int:
    """The size of a source's weights."""
    variables = source.variables
    return sum(int(np.prod(v.shape)) * tf.as_dtype(v.dtype).size for v in variables)


def _write_vectors(
    name: str,
    functions: Sequence[TestedFunction],
    folder: Path,
    regimes: Collection[Regime],
) -> WrittenVectors:
    try:
        return write_vectors(functions, folder, regimes)
    except PortproofError:
        raise
    except Exception as error:
        raise ExportError(f"{name} gives no test vectors: {described(error, 600)}") from error


def _origin(source: Source) -> Origin:
    """The kind of the model, and a SHA-256 over its signatures and the bytes of its variables."""
    sha = hashlib.sha256()
    for name, signature in sorted(source.signatures.items()):
        sha.update(f"{name}{signature}\n".encode())
    parameters = 0
    for variable in source.variables:  # one after the other: all of them may fill the memory
        value = np.asarray(variable)
        sha.update(f"{value.dtype}{value.shape}\n".encode())
        sha.update(np.ascontiguousarray(value).reshape(-1).view(np.uint8).data)
        parameters += value.size
    kind = _kind(source.own_model)
    if source.original:
        kind += f" on {source.original.backend}"
    return Origin(kind=kind, digest=sha.hexdigest(), parameters=parameters)


def _packages(source: Source) -> dict[str, str]:
    packages = {name: version(name) for name in PACKAGES}
    return {**packages, **source.original.versions} if source.original else packages


def _kind(model: Any) -> str:
    if isinstance(model, keras.Model):
        return "keras.Model"
    if is_keras2(model):
        return "tf_keras.Model"
    return "tf.Module" if isinstance(model, tf.Module) else "SavedModel"
