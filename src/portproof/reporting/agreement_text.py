"""What several runtimes computed of one file, as a person reads it."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from portproof.reporting import units
from portproof.verifying.agreement import Agreement, Held

_STYLES = {
    "same": "green",
    "near": "green",
    "apart": "bold red",
    "failed": "bold red",
    "unsupported": "yellow",
    "absent": "dim",
}


def render(agreement: Agreement) -> RenderableType:
    """A row for each runtime and output, why some are apart, and the outcome."""
    rows = Table(box=None, pad_edge=False, header_style="bold")
    for head in ("runtime", "output", "", "same bits", "largest difference", "SQNR"):
        rows.add_column(head, overflow="fold")
    for row in agreement.rows:
        if row.finding != "absent":
            finding = Text(row.finding, _STYLES[row.finding])
            rows.add_row(row.runtime, _place(agreement, row), finding, *_figures(row))
    title = f"{agreement.file}, {agreement.format}: held to {agreement.reference}"
    style = "bold green" if not agreement.exit_status else "bold red"
    parts: list[RenderableType] = [Text(title, "bold"), rows, *map(Text, _reasons(agreement))]
    return Group(*parts, Text(outcome(agreement), style))


def outcome(agreement: Agreement) -> str:
    """The last line: what the exit status says, and what it does not."""
    if not agreement.compared and not agreement.parted:
        reason = "no output depends on the inputs" if agreement.constant else "only one computed it"
        return f"nothing was compared: {reason}"
    apart = list(dict.fromkeys(row.runtime for row in agreement.parted))
    runtimes = list(dict.fromkeys(row.runtime for row in agreement.compared))
    if apart:
        return f"apart from {agreement.reference}, or failed: {', '.join(apart)}"
    number = f"{len(runtimes)} runtimes agree" if runtimes[1:] else f"{runtimes[0]} agrees"
    return f"{number} with {agreement.reference}; that they are the model, only the model can tell"


def _place(agreement: Agreement, row: Held) -> str:
    many = len({other.signature for other in agreement.rows}) > 1
    return f"{row.signature}/{row.output}" if many else row.output


def _figures(row: Held) -> tuple[str, str, str]:
    if row.equal is None:
        return "", "", ""
    sqnr = "" if row.sqnr is None else f"{row.sqnr:.0f} dB"
    return f"{100 * row.equal:.3g} %", units.number(row.largest), sqnr


def _reasons(agreement: Agreement) -> Iterator[str]:
    """Why some are apart or gave nothing; those of one reason together."""
    places: dict[str, list[str]] = {}
    for row in agreement.rows:
        if row.detail and row.finding != "absent":
            place = " ".join(filter(None, [row.runtime, _place(agreement, row)]))
            places.setdefault(row.detail, []).append(place)
    for reason, of_reason in places.items():
        more = f" and {len(of_reason) - 1} more" if of_reason[1:] else ""
        yield f"{of_reason[0]}{more}: {reason}"
    if absent := list(dict.fromkeys(r.runtime for r in agreement.rows if r.finding == "absent")):
        yield f"absent: {', '.join(absent)} (portproof setup)"
    if any(row.finding == "apart" for row in agreement.rows):
        yield f"apart: less than {agreement.floor:g} dB, or another shape, dtype, NaN or infinity"
    for name in agreement.constant:
        yield f"{name} is the same for every input, which shows nothing"
    if agreement.generated:
        yield "the inputs were made up: give the model's own with --inputs data.npz"
