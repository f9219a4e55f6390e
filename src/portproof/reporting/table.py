"""A report as the table that a person reads at a glance."""

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from portproof.bundle.report import Cell, Report
from portproof.reporting.summary import counts_text, deciding, nearness, overall

STYLES = {
    "exact": "green",
    "faithful": "green",
    "close": "yellow",
    "wrong": "bold red",
    "failed": "bold red",
    "absent": "dim",
}


ARTIFACT_WIDTH, COLUMN_WIDTH, GAP = 28, 16, 2  # characters, at least


def render(report: Report, width: int) -> RenderableType:
    """Tables by format, rows artifacts, columns runtimes; under them what needs words."""
    return Group(*tables(report.cells, width), *_notes(report), _summary(report))


def render_short(report: Report, _width: int) -> RenderableType:
    """What is not proven, and the last line."""
    not_covered = [Text(f"not covered: {line}", "yellow") for line in report.unchecked]
    return Group(
        *_refused(report),
        *_lines("", report.failures),
        *not_covered,
        *_unwritten(report),
        _summary(report),
    )


def tables(cells: list[Cell], width: int) -> Iterable[RenderableType]:
    """A table for each group of formats that the same runtimes run, no wider than `width`."""
    groups: dict[tuple[str, ...], list[Cell]] = {}
    for format_ in dict.fromkeys(cell.format for cell in cells):
        of_format = [cell for cell in cells if cell.format == format_]
        # Absent runtimes are listed under the tables; a column for each would be in the way.
        runtimes = tuple(dict.fromkeys(c.runtime for c in of_format if c.verdict != "absent"))
        if not runtimes:
            continue
        groups.setdefault(runtimes, []).extend(of_format)
    for runtimes, of_group in groups.items():
        for columns in _fitting(runtimes, width):
            yield _table(columns, of_group)
            yield Text()


def _fitting(runtimes: tuple[str, ...], width: int) -> Iterable[tuple[str, ...]]:
    """The runtimes in parts, each of which fits beside the artifacts' names."""
    part: list[str] = []
    used = ARTIFACT_WIDTH + GAP
    for runtime in runtimes:
        wide = max(COLUMN_WIDTH, len(runtime)) + GAP
        if part and used + wide > width:
            yield tuple(part)
            part, used = [], ARTIFACT_WIDTH + GAP
        part.append(runtime)
        used += wide
    yield tuple(part)


def _table(runtimes: tuple[str, ...], cells: list[Cell]) -> Table:
    table = Table(pad_edge=False, box=None, padding=(0, GAP, 0, 0))
    table.add_column("artifact", no_wrap=True, min_width=ARTIFACT_WIDTH)
    for runtime in runtimes:
        table.add_column(runtime, min_width=COLUMN_WIDTH)
    for key in sorted({cell.artifact for cell in cells}, key=lambda key: (key[1:], key[0])):
        row = [cell for cell in cells if cell.artifact == key]
        entries = [_entry([c for c in row if c.runtime == runtime]) for runtime in runtimes]
        table.add_row(Text(" ".join(filter(None, key))), *entries)
    return table


def _entry(cells: list[Cell]) -> Text:
    cells = deciding(cells)
    if not cells:
        return Text()  # not judged yet, or of a variant that the runtime does not run
    verdict = overall(cells)
    text = Text(verdict, STYLES[verdict])
    if figure := nearness(cells):
        text.append(f" {figure}")
    return text


def _notes(report: Report) -> Iterable[Text]:
    """Everything that is not proven: failures, edge cells, absent runtimes, what nothing ran."""
    yield from _refused(report)
    yield from _lines("", report.failures)
    close = [cell for cell in deciding(report.cells) if cell.verdict == "close"]
    if close:
        yield Text("close (beyond rounding, and within what is declared):")
        yield from _lines("  ", close)
    edge = [cell for cell in report.not_passing if cell not in report.failures]
    if edge:
        yield Text("edge (reported, not counted):")
        yield from _lines("  ", edge)
    yield from _envelopes(report.cells)
    yield from _not_covered(report)
    for model, artifacts in report.notes.items():
        for name, notes in artifacts.items():
            yield Text(f"note: {model} {name}: {'; '.join(notes)}")


def _refused(report: Report) -> Iterable[Text]:
    for reason in report.refused.values():
        yield Text.assemble(("refused", STYLES["failed"]), f" {reason}")


def _unwritten(report: Report) -> Iterable[Text]:
    for path, reason in report.unwritten.items():
        yield Text(f"not written: {path}; {reason}", "yellow")


def _not_covered(report: Report) -> Iterable[Text]:
    """Absent runtimes, formats without an artifact, and what nothing ran or could be kept."""
    for runtime, reason in report.absent.items():
        yield Text(f"not covered: {runtime} is absent; {reason}", "yellow")
    for model, formats in report.left_out.items():
        for format_, reason in formats.items():
            yield Text(f"not covered: {model} has no {format_}; {reason}", "yellow")
    yield from _unwritten(report)
    for line in report.unchecked:
        yield Text(f"not covered: {line}", "yellow")


def _envelopes(cells: list[Cell]) -> Iterable[Text]:
    """Where the verdict ends, a line for each region, with all that share it."""
    regions: dict[str, list[Cell]] = {}
    for cell in cells:
        for region in cell.envelope:
            if region.upper or region.lower:
                regions.setdefault(str(region), []).append(cell)
    if regions:
        yield Text("envelope (how far from the model's own data the numbers hold):")
    for region_text, shared in regions.items():
        yield Text(f"  {_places(shared)}: {region_text}")


def _lines(indent: str, cells: list[Cell]) -> Iterable[Text]:
    """A line for each reason, with the artifacts, runtimes and outputs that share it."""
    reasons: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        reasons.setdefault((cell.verdict, cell.detail), []).append(cell)
    for (verdict, detail), shared in reasons.items():
        yield Text.assemble(indent, (verdict, STYLES[verdict]), f" {_places(shared)}: {detail}")


def _places(cells: list[Cell]) -> str:
    """Artifacts, runtimes and outputs of some cells."""
    artifacts = _listed(" ".join(filter(None, cell.artifact)) for cell in cells)
    runtimes = _listed(cell.runtime for cell in cells)
    outputs = _listed(f"{cell.signature}.{cell.output}" for cell in cells)
    return f"{artifacts} in {runtimes}, {outputs}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(names))


def _summary(report: Report) -> Text:
    cells = "typical and batch: " + (counts_text(report) or "no cells at all")
    if report.interrupted:
        return Text(f"interrupted: so far {cells}", "bold yellow")
    if report.ok:
        return Text(f"proven: {cells}", "bold green")
    return Text(f"not proven: {cells}", "bold red" if report.exit_status == 1 else "bold yellow")
