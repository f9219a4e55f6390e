"""Two bundles, files, reports or versions of a runtime -> Comparison: what changed."""

from dataclasses import dataclass
from pathlib import Path

from portproof.bundle.bundle import MANIFEST, REPORT, Bundle
from portproof.bundle.errors import PortproofError, UsageError
from portproof.bundle.report import Report
from portproof.bundle.report_files import read_report
from portproof.checking.request import request_of
from portproof.checking.verifying import check_file
from portproof.publishing.stores import FETCH_SECONDS, fetched, is_address
from portproof.reporting.changes import Comparison, compare_reports
from portproof.verification import Callbacks, VerifyOptions, verify_bundles


@dataclass(frozen=True)
class Original:
    """The model that files are compared against, as `portproof check` takes it.

    Attributes:
        model: The model, in words; empty: only bundles and reports are compared.
        inputs: A file of its own data.
        folder: Where the bundles of the files go.
    """

    model: str = ""
    inputs: Path | None = None
    folder: Path = Path()


def compare(
    old: str,
    new: str | None,
    original: Original,
    options: VerifyOptions,
    callbacks: Callbacks,
) -> Comparison:
    """Compare what two reports say, which are made where they are not there.

    Args:
        old: A bundle's folder or address, a report.json, or a file that another tool wrote.
        new: The same; None: `old` in two runtimes.
        original: What such files are compared against.
        options: How to verify. Its runtimes are two without `new`; else they are the only ones to
            compare, in which both are verified anew.
        callbacks: What is called meanwhile.

    Raises UsageError where something cannot be compared.
    """
    if new is None:
        return _versions(old, original, options, callbacks)
    first, second = (_report_of(name, original, options, callbacks) for name in (old, new))
    return compare_reports(first, second, (old, new), {})


def _versions(
    name: str, original: Original, options: VerifyOptions, callbacks: Callbacks
) -> Comparison:
    """One bundle in two runtimes: one report, whose cells are taken apart."""
    if len(set(options.runtimes)) != 2:
        raise UsageError(
            "name a second bundle, or two runtimes: --runtime litert@1.4.0 --runtime litert@2.3.0."
        )
    first, second = options.runtimes
    return two_runtimes(_verified(name, original, options, callbacks), name, first, second)


def two_runtimes(report: Report, name: str, old: str, new: str) -> Comparison:
    """Compare two runtimes of one report.

    Args:
        report: The report.
        name: What it is of, in words.
        old: The older one's name.
        new: The newer one's.
    """
    sides = _of_runtime(report, old), _of_runtime(report, new)
    return compare_reports(*sides, (f"{name} in {old}", new), {old: new})


def _of_runtime(report: Report, runtime: str) -> Report:
    cells = [cell for cell in report.cells if cell.runtime == runtime]
    timed = [performance for performance in report.performance if performance.runtime == runtime]
    return report.model_copy(update={"cells": cells, "performance": timed})


def _report_of(
    name: str, original: Original, options: VerifyOptions, callbacks: Callbacks
) -> Report:
    """The report that is there and is of these files; else one that is made now."""
    if name.endswith(".json") and Path(name).is_file():
        return read_report(Path(name))
    if not options.runtimes:
        if is_address(name):
            # Without the key of who published it, its report is a stranger's word.
            known = _published_report(name, options) if options.key else None
        else:
            known = _known(Path(name))
        if known:
            callbacks.log(f"{name}: by its report.json")
            return known
    return _verified(name, original, options, callbacks)


def _verified(
    name: str, original: Original, options: VerifyOptions, callbacks: Callbacks
) -> Report:
    if is_address(name) or (Path(name) / MANIFEST).is_file():
        report = verify_bundles([name], options, callbacks)
    elif not original.model:
        raise UsageError(f"{name} is no bundle: name the model that it should be, with --against.")
    else:
        inputs, folder = original.inputs, original.folder
        request = request_of(name, original.model, inputs, {}, None, (), folder)
        report = check_file(request, options, callbacks)
    if report.refused:
        raise UsageError(next(iter(report.refused.values())))
    if report.interrupted:
        raise UsageError(f"{name}: the verification was interrupted.")
    return report


def _published_report(address: str, options: VerifyOptions) -> Report | None:
    limit = options.total_limit or FETCH_SECONDS
    with fetched(address, options.key, limit) as folder:
        return _known(Path(folder))


def _known(folder: Path) -> Report | None:
    """The bundle's own report, where it is whole and of what is there."""
    try:
        bundle = Bundle.open(folder)
        report = read_report(folder / REPORT)
    except PortproofError:
        return None
    is_current = report.bundle == {bundle.manifest.model: bundle.digest}
    return report if is_current and not report.interrupted else None
