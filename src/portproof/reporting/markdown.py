"""A report as Markdown: for the page of a job, and for a model card."""

from collections.abc import Iterable, Iterator

from portproof.bundle.report import Cell, Report
from portproof.bundle.text import for_markdown
from portproof.reporting.causes import causes
from portproof.reporting.conflicts import conflicts
from portproof.reporting.overview import Matrix, Overview
from portproof.reporting.shipping import not_to_text
from portproof.reporting.summary import counts_text, not_run_text

# So that no verdict is shown by its colour alone.
SIGNS = {
    "exact": "✅",
    "faithful": "✅",
    "close": "🟡",
    "unsupported": "⬜",
    "wrong": "❌",
    "failed": "❌",
}
_MAX_FAILURES = 30


def matrices(overview: Overview) -> Iterator[str]:
    """A table for each group of artifacts that the same runtimes run."""
    for matrix in overview.matrices:
        yield from _table(matrix)
        yield ""


def _table(matrix: Matrix) -> Iterator[str]:
    yield f"| artifact | {' | '.join(matrix.runtimes)} |"
    yield f"| --- |{' --- |' * len(matrix.runtimes)}"
    for artifact, row in matrix.rows.items():
        entries = (row.get(runtime) for runtime in matrix.runtimes)
        texts = [f"{SIGNS[e.verdict]} {e.verdict} {e.figure}".strip() if e else "" for e in entries]
        yield f"| {for_markdown(artifact)} | {' | '.join(texts)} |"


def failures(cells: Iterable[Cell]) -> Iterator[str]:
    """A line for each cause."""
    found = causes(cells)
    for cause in found[:_MAX_FAILURES]:
        text = for_markdown(f"{cause.place}: {cause.reason}")
        yield f"- {SIGNS[cause.verdict]} **{cause.verdict}** {text}"
    if found[_MAX_FAILURES:]:
        yield f"- and {len(found) - _MAX_FAILURES} more"


def verdicts(report: Report) -> list[str]:
    """The counts, the tables and where it does not ship, of one model's report, for its card."""
    told = [f"- ❌ **conflict** {for_markdown(str(conflict))}" for conflict in conflicts(report)]
    lines = [*told, *([""] if told else []), counts_text(report), "", *matrices(Overview(report))]
    if not_to := not_to_text(report):
        lines += [f"Not to: {for_markdown(not_to)}.", ""]
    if not_run := not_run_text(report.not_run):
        lines += [f"Not run: {for_markdown(not_run)}.", ""]
    return lines


def summary(report: Report) -> Iterator[str]:
    """All models of a report, one after the other."""
    for model in report.bundle:
        part = report.of_model(model)
        yield f"## {for_markdown(model)}: {part.outcome}"
        yield ""
        yield from verdicts(part)
        yield from failures(part.failures)
        yield ""
    for reason in report.refused.values():
        yield f"- ❌ **refused** {for_markdown(reason)}"
    for line in [*report.unproven, *report.unchecked]:
        yield f"- not covered: {for_markdown(line)}"
