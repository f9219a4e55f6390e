"""What changed between two reports: for a terminal, and as Markdown for a pull request."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from portproof.bundle.text import for_markdown
from portproof.reporting import units
from portproof.reporting.changes import Change, Comparison, Side, in_order

_STYLES = {"worse": "bold red", "gone": "bold red", "better": "green", "moved": "", "added": ""}
_SIGNS = {"worse": "❌", "gone": "❌", "better": "✅", "moved": "🟡", "added": "🆕"}
_NONE = "-"
MAX_ROWS = 30  # on the screen; Markdown has all of them


def render(comparison: Comparison) -> RenderableType:
    """A row for each change, what each regression is, and the outcome."""
    changes = in_order(comparison.changes)
    parts: list[RenderableType] = []
    if changes:
        rows = Table(box=None, pad_edge=False, header_style="bold")
        for head in ("", "artifact", "runtime", "verdict", "of the bound", "size", "one row"):
            rows.add_column(head, overflow="fold")
        for change in changes[:MAX_ROWS]:
            style = _STYLES[change.kind] if change.is_regression or change.kind == "better" else ""
            kind = Text(change.kind, style)
            rows.add_row(kind, change.artifact, change.runtime, *_figures(change))
        parts += [rows]
    if len(changes) > MAX_ROWS:
        parts.append(Text(f"and {len(changes) - MAX_ROWS} more: --markdown FILE has all of them"))
    parts += [Text(line) for line in _reasons(comparison)]
    parts += [Text(line, "dim") for line in comparison.uncompared]
    bad = len(comparison.regressions)
    parts.append(Text(outcome(comparison), "bold red" if bad else "bold green"))
    return Group(*parts)


def outcome(comparison: Comparison) -> str:
    """The last line: what the exit status says."""
    total, bad = len(comparison.changes), len(comparison.regressions)
    if not total:
        return "nothing was compared"
    same = sum(change.kind == "same" for change in comparison.changes)
    head = f"worse: {bad}" if bad else "no regression"
    return f"{head}; {total} artifacts in runtimes were compared, {same} of them are the same"


def markdown(comparison: Comparison) -> Iterator[str]:
    """The lines of a page, or of a comment on a pull request."""
    yield f"### {for_markdown(outcome(comparison))}"
    yield ""
    yield f"{for_markdown(comparison.old)} → {for_markdown(comparison.new)}"
    yield ""
    changes = in_order(comparison.changes)
    if changes:
        yield "| | artifact | runtime | verdict | of the bound | size | one row |"
        yield "| --- | --- | --- | --- | --- | --- | --- |"
    for change in changes:
        words = (f"{_SIGNS[change.kind]} {change.kind}", change.artifact, change.runtime)
        cells = (*words, *_figures(change))
        yield f"| {' | '.join(for_markdown(cell) for cell in cells)} |"
    if changes:
        yield ""
    for line in (*_reasons(comparison), *comparison.uncompared):
        yield f"- {for_markdown(line)}"


def _reasons(comparison: Comparison) -> Iterator[str]:
    """Why each regression is one; those of one reason together."""
    places: dict[str, list[str]] = {}
    for change in comparison.regressions:
        if change.new and change.new.reason:
            place = f"{change.artifact} in {change.runtime}"
            places.setdefault(change.new.reason, []).append(place)
    for reason, of_reason in places.items():
        more = f" and {len(of_reason) - 1} more" if of_reason[1:] else ""
        yield f"{of_reason[0]}{more}: {reason}"


def _figures(change: Change) -> tuple[str, str, str, str]:
    old, new = change.old, change.new
    return (
        _arrow(old.verdict if old else "", new.verdict if new else ""),
        _arrow(_share(old), _share(new)),
        _arrow(_size(old), _size(new)),
        _arrow(_speed(old), _speed(new)),
    )


def _arrow(old: str, new: str) -> str:
    """Before and after, once where it is the same."""
    before, after = old or _NONE, new or _NONE
    return before if before == after else f"{before} → {after}"


def _share(side: Side | None) -> str:
    if side and side.sqnr is not None:
        return f"{side.sqnr:.0f} dB"
    return f"{100 * side.share:.3g} %" if side and side.share is not None else ""


def _size(side: Side | None) -> str:
    return units.binary(side.size) if side else ""


def _speed(side: Side | None) -> str:
    return units.seconds(side.seconds) if side else ""
