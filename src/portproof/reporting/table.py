"""A report on one screen: what ran where, what needs action, and where the model ships."""

import re
from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from portproof.bundle.report import Cell, Report
from portproof.bundle.text import shortened
from portproof.reporting.causes import Cause, causes
from portproof.reporting.conflicts import conflicts
from portproof.reporting.shipping import destinations, not_to_text
from portproof.reporting.summary import (
    accuracy,
    counts_text,
    deciding,
    nearness,
    not_run_text,
    overall,
)

STYLES = {
    "exact": "green",
    "faithful": "green",
    "close": "yellow",
    "unsupported": "cyan",
    "wrong": "bold red",
    "failed": "bold red",
    "absent": "dim",
}
ILL_CONDITIONED = "~"

# How a refusal begins: the line has the formats already.
_WRITTEN_AS = re.compile(r"^\S+ cannot be written as [\w -]+: ")
# Formats that share a table, by the kind of program that runs them.
_PYTHON = ("savedmodel", "checkpoint", "keras")
RUNTIME_WIDTH, COLUMN_WIDTH, GAP = 20, 10, 2  # characters, at least
MAX_CAUSES = 8  # that are listed; the page has all of them
MAX_SHIPS, MAX_OBSTACLES = 8, 3  # in the last line
MAX_LENGTH = 310  # characters of a cause: four lines of a narrow terminal


def render(report: Report, width: int, *, edge: bool = False) -> RenderableType:
    """Each model's tables, what needs action, and its verdict; `edge` adds what does not count."""
    models = list(report.bundle) or [""]
    parts: list[RenderableType] = []
    for model in models:
        part = report.of_model(model) if len(models) > 1 else report
        parts += [Text(model, "bold")] if len(models) > 1 else []
        parts += [*_conflicts(part), *tables(part.cells, width), *_legend(part.cells)]
        parts += [*_action(part), *_not_run(part), *(_edge(part) if edge else ())]
        parts += [_verdict(part, model), Text()]
    if len(models) > 1:
        parts += [*_refused(report), _total(report, models)]
    return Group(*parts[:-1] if isinstance(parts[-1], Text) and not parts[-1].plain else parts)


def _total(report: Report, models: Sequence[str]) -> Text:
    """The last line of several models: how many are proven, or how many are not, and which."""
    head, count = (f"{report.outcome}:", _style(report)), len(models) + len(report.refused)
    if report.ok:
        return Text.assemble(head, f" {count} of {count} models")
    unproven = [*report.refused, *(name for name in models if not report.of_model(name).ok)]
    return Text.assemble(head, f" {len(unproven)} of {count} models: {shortened(unproven)}")


def render_short(report: Report, _width: int, *, edge: bool = False) -> RenderableType:
    """What is not proven, and the verdict of all together."""
    return Group(*_action(report), *(_edge(report) if edge else ()), _verdict(report))


def tables(cells: Sequence[Cell], width: int) -> Iterator[RenderableType]:
    """A table for each kind of program, a row for each runtime, no wider than `width`."""
    for artifacts, group in groups(cells):
        names = max(RUNTIME_WIDTH, *(len(cell.place) for cell in group))
        for columns in _fitting(artifacts, names, width):
            yield _table(columns, group)
            yield Text()


def groups(cells: Sequence[Cell]) -> Iterator[tuple[tuple[str, ...], list[Cell]]]:
    """What stands in one table: artifacts that one kind of program runs, and their cells."""
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        # Absent runtimes are named under the tables; a row for each would be in the way.
        if cell.verdict != "absent":
            kind = "python" if cell.format in _PYTHON else cell.format.split("-")[0]
            groups.setdefault(kind, []).append(cell)
    for group in groups.values():
        yield tuple(dict.fromkeys(cell.full_format for cell in group)), group


def _conflicts(report: Report) -> Iterator[RenderableType]:
    """What hosts disagree about, before anything that they have in common."""
    found = list(conflicts(report))
    for conflict in found[:MAX_CAUSES]:
        yield Text.assemble(("conflict", "bold red"), f" {_cut(str(conflict))}")
    if found[MAX_CAUSES:]:
        yield Text(f"and {len(found) - MAX_CAUSES} more conflicts: see report.html")
    if found:
        yield Text()


def _fitting(artifacts: tuple[str, ...], names: int, width: int) -> Iterator[tuple[str, ...]]:
    """The artifacts in parts, each of which fits beside the runtimes' names, of so many letters."""
    part: list[str] = []
    used = names + GAP
    for artifact in artifacts:
        wide = max(COLUMN_WIDTH, len(_heading(artifact))) + GAP
        if part and used + wide > width:
            yield tuple(part)
            part, used = [], names + GAP
        part.append(artifact)
        used += wide
    yield tuple(part)


def _heading(artifact: str) -> str:
    """A variant by its own name: it stands beside its format."""
    return artifact.split(" ", 1)[-1]


def _table(artifacts: tuple[str, ...], cells: Sequence[Cell]) -> Table:
    table = Table(pad_edge=False, box=None, padding=(0, GAP, 0, 0))
    table.add_column("", no_wrap=True, min_width=RUNTIME_WIDTH)
    for artifact in artifacts:
        table.add_column(_heading(artifact), min_width=COLUMN_WIDTH)
    for place in dict.fromkeys(cell.place for cell in cells):
        row = [cell for cell in cells if cell.place == place]
        entries = [_entry([c for c in row if c.full_format == name]) for name in artifacts]
        table.add_row(Text(place), *entries)
    return table


def _entry(cells: Sequence[Cell]) -> Text:
    cells = deciding(cells)
    if not cells:
        return Text()  # not judged yet, or of a variant that the runtime does not run
    verdict = overall(cells)
    text = Text(verdict, STYLES[verdict])
    if figure := nearness(cells):
        text.append(f" {figure}")
    if share := accuracy(cells):
        text.append(f", {share}")
    if any(cell.ill_conditioned for cell in cells):
        text.append(f" {ILL_CONDITIONED}")
    return text


def _legend(cells: Sequence[Cell]) -> Iterator[Text]:
    if labelled := {c.output: c for c in cells if c.reference_accuracy is not None}:
        told = (f"{o} {100 * (c.reference_accuracy or 0):.0f} %" for o, c in labelled.items())
        rows = next(iter(labelled.values())).labelled
        yield Text(f"accuracy of the Python model on {rows} labelled rows: {', '.join(told)}")
    if any(cell.ill_conditioned for cell in deciding(cells)):
        outputs = list(dict.fromkeys(c.output for c in deciding(cells) if c.ill_conditioned))
        yield Text(
            f"{ILL_CONDITIONED} ill-conditioned: rounding alone may move {shortened(outputs)} by "
            "more than 0.1 % of its size, in the original too",
            "yellow",
        )


def _action(report: Report) -> Iterator[Text]:
    """What makes the exit status, a line for each cause."""
    yield from _refused(report)
    found = causes(report.failures)
    for cause in found[:MAX_CAUSES]:
        yield _line(cause)
    if found[MAX_CAUSES:]:
        yield Text(f"and {len(found) - MAX_CAUSES} more causes: see report.html")
    for line in [*report.unproven, *report.unchecked]:
        yield Text(f"not covered: {line}", "yellow")
    for path, reason in report.unwritten.items():
        yield Text(f"not written: {path}; {reason}", "yellow")


def _refused(report: Report) -> Iterator[Text]:
    for reason in report.refused.values():
        yield Text.assemble(("refused", STYLES["failed"]), f" {reason}")


def _line(cause: Cause) -> Text:
    text = _cut(f" {cause.place}: {cause.reason}")
    return Text.assemble((cause.verdict, STYLES[cause.verdict]), text)


def _not_run(report: Report) -> Iterator[Text]:
    """What there is no verdict of, and needs no action: absent runtimes, formats left out."""
    left_out: dict[str, list[str]] = {}
    for formats in report.left_out.values():
        for format_, reason in formats.items():
            left_out.setdefault(_WRITTEN_AS.sub("", reason), []).append(format_)
    for reason, names in left_out.items():
        yield Text(f"not written: {', '.join(dict.fromkeys(names))}: {_cut(reason)}", "dim")
    for signatures in report.left_out_signatures.values():
        for name, reason in signatures.items():
            yield Text(f"not carried: signature {name}: {_cut(reason)}", "dim")
    if report.absent and not any(report.targets.values()):
        yield Text(f"absent: {', '.join(report.absent)}: see `portproof runtimes`", "dim")
    for artifacts in report.notes.values():
        if notes := artifacts.get("vectors"):
            yield Text(f"note: {_cut('; '.join(notes))}", "dim")
    if (text := not_run_text(report.not_run)) and not report.environment.device:
        yield Text(f"not run: {_cut(text)}", "dim")


def _cut(text: str) -> str:
    return text if len(text) <= MAX_LENGTH else text[: MAX_LENGTH - 3] + "..."


def _edge(report: Report) -> Iterator[Text]:
    """What is reported and not counted, and how far from the model's own data the numbers hold."""
    edge = _uncounted(report)
    if edge:
        yield Text("edge (reported, not counted):")
        yield from (Text("  ").append(_line(cause)) for cause in causes(edge))
    regions: dict[str, list[Cell]] = {}
    for cell in report.cells:
        for region in cell.envelope:
            if region.upper or region.lower:
                regions.setdefault(str(region), []).append(cell)
    if regions:
        yield Text("envelope (how far from the model's own data the numbers hold):")
    for text, shared in regions.items():
        yield Text(f"  {Cause(shared[0].verdict, tuple(shared)).place}: {text}")


def _uncounted(report: Report) -> list[Cell]:
    counted = {id(cell) for cell in report.failures}
    return [
        cell for cell in report.not_passing if cell.regime == "edge" and id(cell) not in counted
    ]


def _verdict(report: Report, model: str = "") -> Text:
    """One line: whether it is proven, where it ships and where not, and what else there is."""
    cells = counts_text(report) or "no cells at all"
    name = f"{model} " if model else ""
    if report.interrupted:
        return Text(f"{name}interrupted: so far {cells}", "bold yellow")
    style = "bold yellow" if report.exit_status == 3 else _style(report)
    parts = [cells, *_shipping(report)]
    if report.ok and report.unvouched:
        parts.append("who made them is not known: --key PUBLISHER.pub, or --recompute")
    elif report.ok and report.held_to:
        parts.append("that it is the model, only the model can tell: portproof check --against")
    if report.failures and not report.targets:
        parts.append("if you do not ship to all of these, say where: portproof init, targets")
    if (notes := len(causes(_uncounted(report)))) and not report.environment.device:
        parts.append(f"{notes} edge note{'s' * (notes > 1)}: portproof verify --edge, report.html")
    return Text.assemble((f"{name}{report.outcome}:", style), f" {' · '.join(parts)}")


def _style(report: Report) -> str:
    """Of its outcome: green for what is proven alone."""
    if not report.ok:
        return "bold red"
    return "bold yellow" if report.held_to or report.unvouched else "bold green"


def _shipping(report: Report) -> Iterator[str]:
    ships, not_to = destinations(report), not_to_text(report, MAX_OBSTACLES)
    here = list(dict.fromkeys(c.place for c in report.cells if c.verdict != "absent"))
    if ships:
        every = len(ships) == len(here) > 3
        told = f"all {len(here)} runtimes here" if every else shortened(ships, MAX_SHIPS)
        yield f"ships to: {told}"
    if not_to:
        yield f"not to: {not_to}"
