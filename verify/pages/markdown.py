"""A report as Markdown: for the page of a job, and for a model card."""

from collections.abc import Iterable, Iterator

from verify.pages.overview import Overview, Table
from verify.report import Cell, Report

# So that a word is never told by its colour alone, nor a colour by a word alone.
SIGNS = {"exact": "✅", "faithful": "✅", "close": "🟡", "wrong": "❌", "failed": "❌"}
_MOST = 30  # failures that are listed


def matrix(overview: Overview) -> Iterator[str]:
    """A table for each group of artifacts that the same runtimes run."""
    for table in overview.tables:
        yield from _table(table)
        yield ""


def _table(table: Table) -> Iterator[str]:
    yield f"| artifact | {' | '.join(table.runtimes)} |"
    yield f"| --- |{' --- |' * len(table.runtimes)}"
    for artifact, row in table.rows.items():
        found = (row.get(runtime) for runtime in table.runtimes)
        said = [f"{SIGNS[e.verdict]} {e.verdict} {e.figure}".strip() if e else "" for e in found]
        yield f"| {artifact} | {' | '.join(said)} |"


def counts(report: Report) -> str:
    return ", ".join(f"{count} {verdict}" for verdict, count in report.counts.items())


def failures(cells: Iterable[Cell]) -> Iterator[str]:
    """A line each."""
    listed = list(cells)
    for cell in listed[:_MOST]:
        what = f"{cell.full_format} in {cell.runtime}, `{cell.signature}.{cell.output}`"
        yield f"- {SIGNS[cell.verdict]} **{cell.verdict}** {what}: {cell.detail}"
    if listed[_MOST:]:
        yield f"- and {len(listed) - _MOST} more"


def summary(report: Report) -> Iterator[str]:
    """All models of a report, one after the other."""
    for model in report.bundle:
        part = report.of(model)
        yield f"## {model}: {'proven' if part.ok else 'not proven'}"
        yield ""
        yield counts(part)
        yield ""
        yield from matrix(Overview(part))
        yield from failures(part.failures)
        yield ""
    for reason in report.refused.values():
        yield f"- ❌ **refused** {reason}"
    for line in report.unchecked:
        yield f"- not covered: {line}"
