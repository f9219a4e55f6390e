"""Commands that make bundles of models."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import portproof
from portproof._api import ARTIFACTS
from portproof.bundle.errors import ExportError, UsageError
from portproof.bundle.text import short_path, shortened
from portproof.cli.application import app
from portproof.cli.options import Models
from portproof.reporting.printing import note, say

if TYPE_CHECKING:
    from portproof.project import Project


@app.command()
def export(
    model: Models = None,
    output: Annotated[
        Path, typer.Option(help="The folder of the bundles, each below its model's name.")
    ] = ARTIFACTS,
    inputs: Annotated[
        Path | None, typer.Option(help="The model's own data: a .npz, .npy or .safetensors file.")
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option(
            help="The right class of each row: a .npy file, or OUTPUT=FILE; repeatable.",
            metavar="[OUTPUT=]FILE",
        ),
    ] = None,
    signature: Annotated[
        list[str] | None, typer.Option(help="Only this signature; repeatable.")
    ] = None,
    format: Annotated[  # noqa: A002
        list[str] | None, typer.Option(help="Only this format, or variant of one; repeatable.")
    ] = None,
    keep_float: Annotated[
        list[str] | None,
        typer.Option(help="Keep this layer in floats in every variant; repeatable."),
    ] = None,
    import_: Annotated[
        list[str] | None,
        typer.Option("--import", help="A module with the model's own layers; repeatable."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also what is up to date, of portproof.toml.")
    ] = False,
    trust: Annotated[
        bool, typer.Option("--trust", help="Load a file or a SavedModel outside of the sandbox.")
    ] = False,
    total_limit: Annotated[
        float, typer.Option(help="Seconds for a model that is loaded in the sandbox.")
    ] = 3600.0,
) -> None:
    """Export models to every format, with their test vectors, into artifacts/NAME.

    Of portproof.toml, those that have changed since they were exported last. A model from a file or
    a folder, which may be anyone's, is loaded and exported in a sandbox.
    """
    from portproof.formats.converting import converters_for
    from portproof.formats.table import check_names, select
    from portproof.keras2 import provide_keras2
    from portproof.project import find_project
    from portproof.sources.names import check_name

    models = list(dict.fromkeys(model or ()))
    project = find_project()
    if project and set(models) <= set(project.models):
        given = (inputs, labels, signature, format, keep_float, import_)
        if any(given) or output != ARTIFACTS:
            raise UsageError(f"options of a model of {project.file} belong into that file.")
        _export_project(project, tuple(models), force)
        return
    if not models:
        raise UsageError("name a model, or write a portproof.toml: portproof init.")
    check_names(format)
    for name in models:
        check_name(name)
    provide_keras2(models, say)
    started = time.monotonic()
    if (inputs or labels) and len(models) > 1:
        raise UsageError("--inputs and --labels are of one model: name it.")
    label_files = _label_files(labels)
    # A person's own modules run with all rights anyway.
    if files := [] if trust or import_ else _to_confine(models):
        from portproof.confined_export import export_confined

        options = _words({"--signature": signature, "--format": format, "--keep-float": keep_float})
        for path in export_confined(files, output, inputs, label_files, options, total_limit, say):
            _say_exported(path, started)
        models = [name for name in models if not Path(name).exists()]
    if not models:
        return
    with converters_for(select(format)):  # one set for all models
        _start_tensorflow()
        from portproof.sources.examples import read_examples, read_labels

        examples = read_examples(inputs) if inputs else None

        def export_one(name: str) -> Path:
            return portproof.export(
                name,
                folder=output,
                signatures=signature,
                inputs=examples,
                labels={key: read_labels(file) for key, file in label_files.items()},
                formats=format,
                keep_float=keep_float or (),
                imports=import_ or (),
                log=say,
            ).path

        _export_each(models, export_one)


def _to_confine(models: list[str]) -> list[Path]:
    """Those that may be anyone's, where there is a sandbox for them."""
    from portproof.confined_export import can_confine

    files = [Path(name) for name in models if Path(name).exists()]
    return files if files and can_confine(files, note) else []


def _words(options: Mapping[str, list[str] | None]) -> list[str]:
    """Options of a command, as they are typed."""
    return [f"{name}={value}" for name, values in options.items() for value in values or ()]


def _label_files(labels: list[str] | None) -> dict[str, Path]:
    """By output the files of `--labels`; "" is the only output."""
    files: dict[str, Path] = {}
    for text in labels or ():
        output, _, file = ("", "", text) if Path(text).is_file() else text.rpartition("=")
        files[output] = Path(file)
    return files


def _export_project(project: "Project", names: tuple[str, ...], force: bool) -> None:
    from portproof.build_records import ModelBuild
    from portproof.building import check_settings, export_model
    from portproof.formats.converting import converters_for
    from portproof.formats.table import select

    chosen = project.chosen(names)
    if not chosen:
        raise UsageError(f"{project.file} has no models: add a table [models.NAME] with a source.")
    check_settings(project, chosen)
    changed = []
    for name in chosen:
        if not force and ModelBuild(project, name).is_exported():
            say(f"{name} is up to date")
        else:
            changed.append(name)
    if not changed:
        return
    formats = [f for name in changed for f in select(project.models[name].formats or None)]
    with converters_for(formats):  # one set for all models
        _start_tensorflow()
        _export_each(changed, lambda name: export_model(project, name, say))


def _export_each(models: Sequence[str], export_one: Callable[[str], Path]) -> None:
    """Export models one after the other: one that cannot be exported does not stop the others.

    Raises what `export_one` raises for an only model; of several ExportError, when all were tried.
    """
    failed = []
    for model in models:
        started = time.monotonic()
        try:
            path = export_one(model)
        except (ExportError, UsageError) as error:
            if len(models) == 1:
                raise
            name = Path(model).name if Path(model).exists() else model
            note(f"error: {error}" if name in str(error) else f"error: {name}: {error}")
            failed.append(name)
        else:
            _say_exported(path, started)
    if failed:
        raise ExportError(f"{len(failed)} of {len(models)} not exported: {shortened(failed)}")


def _say_exported(path: Path, started: float) -> None:
    say(f"exported {short_path(path)} in {time.monotonic() - started:.0f} s")


def _start_tensorflow() -> None:
    from portproof.quiet import check_tensorflow, start_tensorflow

    check_tensorflow()
    note("starting TensorFlow")  # it takes seconds
    start_tensorflow()


@app.command()
def init() -> None:
    """Write a portproof.toml into this folder, with the models that are found in it.

    Where there is one, models that it does not have yet are added.
    """
    from portproof.project_start import write_project

    path, models = write_project(Path.cwd())
    found = f"with {', '.join(models)}" if models else "without a model: none was found here"
    say(f"wrote {path.name}, {found}. Edit it, then: portproof export, portproof verify")
