"""Exports and verifies the models of a project, where something has changed since the last time."""

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from portproof.build_records import ModelBuild, runtimes_here
from portproof.bundle.errors import UsageError
from portproof.bundle.report import Report
from portproof.bundle.text import choices
from portproof.formats.table import names as format_names
from portproof.keras2 import provide_keras2
from portproof.project import Project
from portproof.runtimes.table import needs_one_row
from portproof.runtimes.table import select as select_runtimes
from portproof.sources.names import is_reference
from portproof.verification import Callbacks, VerifyOptions, verify_bundles

Log = Callable[[str], None]


def export_model(project: Project, name: str, log: Log) -> Path:
    """Export one model as the project says, and record what it was made of.

    Returns the bundle's folder. Raises ExportError and UsageError as `portproof.export` does.
    """
    from portproof.exporting import export_source
    from portproof.formats.table import select
    from portproof.sources.examples import read_examples, read_labels
    from portproof.sources.opening import make_source

    settings, root = project.models[name], project.root
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    model = settings.source if is_reference(settings.source) else str(root / settings.source)
    provide_keras2([model], log)
    source = make_source(
        model,
        name=name,
        signatures=settings.signatures or None,
        inputs=read_examples(root / settings.inputs) if settings.inputs else None,
        labels={output: read_labels(root / file) for output, file in settings.labels.items()},
        imports=settings.imports,
    )
    source = replace(
        source, one_row=needs_one_row(settings.targets), keep_float=settings.keep_float
    )
    formats = settings.formats or None
    bundle = export_source(source, project.bundle(name), log, select(formats), formats or ())
    ModelBuild(project, name).note_exported()
    return bundle.path


def check_settings(project: Project, names: Iterable[str]) -> None:
    """Raise UsageError where a target is no runtime, or a floor is of no variant.

    That is before anything slow is done.
    """
    variants = sorted({name.partition(" ")[2] for name in format_names()} - {""})
    for name in names:
        for variant in project.models[name].floors:
            if variant not in variants:
                place = f"{project.file}: models.{name}.floors.{variant}"
                raise UsageError(f"{place}: there is no such variant: {choices(variant, variants)}")
        try:
            select_runtimes(list(project.models[name].targets), [])
        except UsageError as error:
            raise UsageError(f"{project.file}: models.{name}.targets: {error}") from None


def verify_models(
    project: Project,
    names: Sequence[str],
    options: VerifyOptions,
    callbacks: Callbacks,
    *,
    force: bool = False,
) -> list[Report]:
    """Verify some models' bundles with the project's targets and floors.

    Args:
        project: The project.
        names: Its models.
        options: What a person asks for; targets and floors are the project's.
        callbacks: What is called meanwhile.
        force: Whether to verify what is up to date too.

    Returns:
        The reports that were up to date, and one of the other models. A verification that is
        narrowed, to some runtimes or otherwise, takes no report for up to date, and is no record.
    """
    check_settings(project, names)
    here = runtimes_here()
    is_whole = options == VerifyOptions(limits=options.limits, total_limit=options.total_limit)
    builds = {name: ModelBuild(project, name) for name in names}
    known = {name: b.report(here) if is_whole and not force else None for name, b in builds.items()}
    reports = [report for report in known.values() if report]
    for name in (name for name, report in known.items() if report):
        callbacks.log(f"{name} is up to date")
    if changed := [name for name, report in known.items() if not report]:
        report = _verify(project, changed, options, callbacks)
        reports.append(report)
        for name in changed:
            if is_whole and name in report.bundle:
                builds[name].note_verified(here)
    return reports


def _verify(
    project: Project, names: Sequence[str], options: VerifyOptions, callbacks: Callbacks
) -> Report:
    options = replace(
        options,
        targets={name: t for name in names if (t := project.models[name].targets)},
        floors={name: project.floors(name) for name in names},
    )
    return verify_bundles([str(project.bundle(name)) for name in names], options, callbacks)


def bundles_of(project: Project, names: Sequence[str]) -> list[str]:
    """The models of a project that are meant: by their name or their bundle's folder; of none, all.

    Empty where something else is meant.
    """
    folders = {str(project.bundle(name)): name for name in project.models}
    meant = [
        name if name in project.models else folders.get(str(Path(name).resolve()), "")
        for name in names or project.models
    ]
    return meant if all(meant) else []
