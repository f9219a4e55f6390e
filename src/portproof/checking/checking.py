"""A file that something else made, and the model that it should be -> Bundle."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from portproof.bundle.errors import UsageError
from portproof.bundle.manifest import Budget, Budgets, Endpoint
from portproof.checking.copying import copy_into
from portproof.checking.interface import Contents, Interface
from portproof.checking.matching import Match, match
from portproof.checking.readers import read_contents
from portproof.checking.request import CheckRequest
from portproof.comparing.floors import floor_of
from portproof.exporting import Log, export_source
from portproof.formats.format import Format, Written
from portproof.formats.table import SAVEDMODEL, select
from portproof.sources.examples import read_examples
from portproof.sources.opening import make_source
from portproof.sources.source import Source


def make(request: CheckRequest, log: Log) -> None:
    """Make a bundle of a file, untouched, with the test vectors of the model that it should be.

    Args:
        request: What is asked for.
        log: Called with each step, and with what is not the same in the file.

    Raises:
        ExportError: The model gives no test vectors.
        UsageError: The file cannot be read, or is not of the model.
    """
    file = request.file.resolve()
    if request.bundle.resolve().is_relative_to(file):
        raise UsageError(f"{request.bundle} would be inside of {file}: name another --output.")
    contents = read_contents(file)
    source = make_source(
        request.model,
        name=request.name,
        signatures=[request.signature] if request.signature else None,
        inputs=read_examples(request.inputs) if request.inputs else None,
        imports=request.imports,
    )
    mapped = request.mapped
    _check_mapped(mapped, source)
    matches = _matches(file, contents, source, mapped)
    [saved_model] = [format_ for format_ in select([SAVEDMODEL]) if format_.name == SAVEDMODEL]
    checked = Format(
        contents.format,
        partial(_copied, file, contents, matches, _unmatched(contents, source, matches)),
        variant=contents.variant,
        arithmetic=_arithmetic_of(contents),
    )
    # What is checked stands in the place of the model's own SavedModel, where it is one.
    others = [] if contents.format == SAVEDMODEL else [saved_model]
    for name, found in matches.items():
        for note in found.notes():
            log(f"{file.name}: {name}: {note}")
    for note in _unmatched(contents, source, matches):
        log(f"{file.name}: {note}")
    if contents.variant:
        log(f"{file.name}: by its weights it is {checked.full_name}, and may differ as such may")
    export_source(source, request.bundle, log, [*others, checked], [checked.full_name])


def _unmatched(contents: Contents, source: Source, matches: Mapping[str, Match]) -> list[str]:
    """The signatures that only one side has, and that nothing proves."""
    of_model = [name for name in source.signatures if name not in matches]
    found = [match.interface for match in matches.values()]
    of_file = [interface.name for interface in contents.interfaces if interface not in found]
    told = [f"not in it, and not proven: {', '.join(of_model)}"] if of_model else []
    return told + ([f"not in the model, and not proven: {', '.join(of_file)}"] if of_file else [])


def _check_mapped(mapped: Mapping[str, str], source: Source) -> None:
    known = {
        name
        for signature in source.signatures.values()
        for name in (*signature.inputs, *signature.outputs)
    }
    if unknown := sorted(set(mapped) - known):
        raise UsageError(
            f"--map {unknown[0]}={mapped[unknown[0]]}: the model has no {unknown[0]}, but "
            f"{', '.join(sorted(known))}."
        )


def _arithmetic_of(contents: Contents) -> Any:
    """How the error of such a variant is measured, where that can be."""
    known = [f.arithmetic for f in select() if f.name == contents.format and f.arithmetic]
    return known[0] if contents.variant and known else None


def _matches(
    file: Path, contents: Contents, source: Source, mapped: Mapping[str, str]
) -> dict[str, Match]:
    """By signature of the model, what is called in the file. Of several, those that both have."""
    known = {*source.signatures} & {interface.name for interface in contents.interfaces}
    if len(source.signatures) == 1 and len(contents.interfaces) == 1:
        pairs = [(next(iter(source.signatures)), contents.interfaces[0])]
    elif known:
        pairs = [(i.name, i) for i in contents.interfaces if i.name in known]
    elif len(contents.interfaces) == 1:
        pairs = [_only_fitting(file, contents.interfaces[0], source, mapped)]
    else:
        raise UsageError(
            f"{file} has the signatures {', '.join(i.name for i in contents.interfaces)}, and the "
            f"model {', '.join(source.signatures)}: none of one name."
        )
    return {
        name: match(name, source.signatures[name], interface, mapped, str(file))
        for name, interface in pairs
    }


def _only_fitting(
    file: Path, interface: Interface, source: Source, mapped: Mapping[str, str]
) -> tuple[str, Interface]:
    fitting = []
    for name, signature in source.signatures.items():
        try:
            match(name, signature, interface, mapped, str(file))
        except UsageError:
            continue
        fitting.append(name)
    if len(fitting) != 1:
        raise UsageError(
            f"{file} fits {' and '.join(fitting) or 'none'} of the model's signatures "
            f"{', '.join(source.signatures)}: name one with --signature."
        )
    return fitting[0], interface


def _copied(
    file: Path,
    contents: Contents,
    matches: Mapping[str, Match],
    unmatched: Sequence[str],
    source: Any,
    root: Path,
    folder: str,
) -> Written:
    """Copy the file as it is into `root/folder`."""
    path = copy_into(file, contents, root, folder)
    endpoints = {name: _endpoint(path, name, found) for name, found in matches.items()}
    notes = [f"made by something else: {file.name}, as it was", *unmatched]
    notes += [note for found in matches.values() for note in found.notes()]
    return Written(endpoints, tuple(dict.fromkeys(notes)), _floors(contents, source, endpoints))


def _endpoint(path: str, name: str, found: Match) -> Endpoint:
    return Endpoint(
        path=path,
        inputs=found.inputs,
        outputs=found.outputs,
        one_row=path if found.one_row or _has_no_rows(found) else None,
        dynamic=not found.one_row,
        signature=None if found.interface.name == name else found.interface.name,
        input_forms=found.input_forms,
        output_forms=found.output_forms,
        **_graph_names(found),
    )


def _has_no_rows(found: Match) -> bool:
    return any(form.one_row for form in found.input_forms.values())


def _graph_names(found: Match) -> dict[str, dict[str, str]]:
    """Of a SavedModel, the tensors of its graph."""
    feeds = {key: found.interface.inputs[own].feed for key, own in found.inputs.items()}
    fetches = {key: found.interface.outputs[own].feed for key, own in found.outputs.items()}
    return {"feeds": feeds, "fetches": fetches} if all({**feeds, **fetches}.values()) else {}


def _floors(contents: Contents, source: Source, endpoints: Mapping[str, Endpoint]) -> Budgets:
    """Of a variant whose own error nothing measures: what the floors leave it."""
    if not contents.variant or _arithmetic_of(contents):
        return {}
    budget = Budget(sqnr=floor_of(contents.variant).sqnr)
    return {
        name: {
            output: budget
            for output, spec in source.signatures[name].outputs.items()
            if "float" in spec.dtype
        }
        for name in endpoints
    }
