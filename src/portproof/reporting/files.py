"""A report in files: beside its bundle, and for programs."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from pydantic import RootModel

from portproof.bundle import atomic
from portproof.bundle.bundle import CARD, MANIFEST, PAGE, REPORT, Bundle
from portproof.bundle.errors import BundleError, described
from portproof.bundle.merging import merged
from portproof.bundle.report import GraphErrors, Performance, Report, renewed
from portproof.bundle.report_files import report_beside
from portproof.reporting import changes_text, github, markdown
from portproof.reporting.badge import render_badge
from portproof.reporting.card import render_card
from portproof.reporting.changes import Comparison
from portproof.reporting.page import render_page


def write_beside_bundles(
    report: Report, bundles: Sequence[Bundle], *, keep_others: bool = True
) -> dict[str, str]:
    """Write `report.json`, `report.html` and the card of each bundle.

    Args:
        report: The report.
        bundles: The bundles.
        keep_others: Whether what the bundle's report has of other runtimes stays in it.

    Returns, by path, why a file could not be written: a bundle may be read-only.
    """
    unwritten: dict[str, str] = {}
    for name, reason in report.refused.items():
        if Path(name, MANIFEST).is_file():
            _replace_report(Path(name), report.of_refused(name, reason), unwritten)
    for bundle in bundles:
        part = report.of_model(bundle.manifest.model)
        if keep_others:
            part = _with_kept_cells(bundle, part)
        _write_beside(bundle, part, unwritten)
    return unwritten


def _write_beside(bundle: Bundle, part: Report, unwritten: dict[str, str]) -> None:
    _write(bundle.path / REPORT, part.to_json, unwritten)
    _write(bundle.path / PAGE, partial(render_page, bundle, part), unwritten)
    card = partial(render_card, bundle.path, bundle.manifest, markdown.verdicts(part))
    _write(bundle.path / CARD, card, unwritten)


def add_graph_errors(bundle: Bundle, found: Sequence[GraphErrors]) -> dict[str, str] | None:
    """Put what diagnoses found into the bundle's report and its page.

    Returns, by path, why a file could not be written; None where the bundle has no report of its
    own, and so no page to show it on.
    """
    report = report_beside(bundle.path)
    if report is None or report.bundle.get(bundle.manifest.model) != bundle.digest:
        return None
    keys = {_place(errors) for errors in found}
    others = (errors for errors in report.graph_errors if _place(errors) not in keys)
    report = report.model_copy(update={"graph_errors": [*others, *found]})
    unwritten: dict[str, str] = {}
    _write(bundle.path / PAGE, partial(render_page, bundle, report), unwritten)
    _write(bundle.path / REPORT, report.to_json, unwritten)
    return unwritten


def _place(errors: GraphErrors) -> tuple[str, ...]:
    return errors.format, errors.signature, errors.place


def _with_kept_cells(bundle: Bundle, part: Report) -> Report:
    """The report, with the cells of runtimes that this run was not about."""
    old = report_beside(bundle.path)
    if old is None:
        return part
    if old.hosts and part.requested and old.bundle == part.bundle and not part.interrupted:
        return merged({"before": old, "now": part})  # each cell there has a host's name
    return renewed(old, part)


def _replace_report(path: Path, refused: Report, unwritten: dict[str, str]) -> None:
    """A refused bundle's older report, page and card would still say that it is proven."""
    _write(path / REPORT, refused.to_json, unwritten)
    with suppress(OSError):
        (path / PAGE).unlink(missing_ok=True)
    with suppress(BundleError):  # without a manifest that can be read there is no card to write
        manifest = Bundle.open_unchecked(path).manifest
        _write(path / CARD, partial(render_card, path, manifest), unwritten)


def _write(path: Path, render: Callable[[], str], unwritten: dict[str, str]) -> None:
    """Verdicts that took hours are not lost for a picture that cannot be drawn."""
    try:
        atomic.write_text(path, render())
    except OSError as error:
        unwritten[str(path)] = error.strerror or str(error)
    except Exception as error:
        unwritten[str(path)] = described(error)


def write_for_programs(
    report: Report, *, json: Path | None, junit: Path | None, badge: Path | None = None
) -> None:
    """The report in the files that were asked for, and for the GitHub job that this is, if any.

    Raises the OSError of the first file that cannot be written, when all others are.
    """
    asked: tuple[tuple[Path | None, Callable[[], str]], ...] = (
        (json, report.to_json),
        (junit, partial(_junit, report)),
        (badge, partial(render_badge, report)),
    )
    failed: list[OSError] = []
    for path, render in asked:
        if path:
            try:
                atomic.write_text_anywhere(path, render())
            except OSError as error:  # which may name a file beside it
                failed.append(OSError(error.errno, error.strerror, str(path)))
    if github.is_here():
        print("\n".join(github.annotations(report)))  # these are commands
        github.write_summary(report)
    if failed:
        raise failed[0]


def _junit(report: Report) -> str:
    from portproof.reporting.junit import render_junit

    return render_junit(report)


def write_comparison(comparison: Comparison, path: Path | None) -> None:
    """The comparison as Markdown in the file that was asked for, and on the GitHub job's page."""
    lines = list(changes_text.markdown(comparison))
    if path:
        atomic.write_text_anywhere(path, "\n".join(lines) + "\n")
    if github.is_here():
        github.add_to_summary(lines)


def write_performance(timed: Sequence[Performance], path: Path) -> None:
    atomic.write_text_anywhere(
        path, RootModel[Sequence[Performance]](timed).model_dump_json(indent=2) + "\n"
    )
