"""Many cells as one: their counts, their worst verdict, and the figure that tells most."""

from collections.abc import Iterable, Sequence

from portproof.bundle.manifest import DECIDING
from portproof.bundle.report import Cell, Report
from portproof.bundle.verdicts import GRADES, Verdict, worst


def deciding(cells: Iterable[Cell]) -> list[Cell]:
    """The cells of the regimes that decide the exit status."""
    return [cell for cell in cells if cell.regime in DECIDING]


def counts(report: Report) -> dict[str, int]:
    """How many of the deciding cells have each verdict, from best to worst."""
    cells = deciding(report.cells)
    by_verdict = {v: sum(cell.verdict == v for cell in cells) for v in (*GRADES, "absent")}
    return {verdict: count for verdict, count in by_verdict.items() if count}


def counts_text(report: Report) -> str:
    """`92 exact, 50 faithful`."""
    return ", ".join(f"{count} {verdict}" for verdict, count in counts(report).items())


def overall(cells: Iterable[Cell]) -> Verdict:
    """The worst verdict of cells that have one; `absent` where none has."""
    verdicts = [cell.verdict for cell in cells if cell.verdict != "absent"]
    return worst(verdicts) if verdicts else "absent"


def nearness(cells: Sequence[Cell], ulp: str = "ulp") -> str:
    """The figure that tells most of deciding cells: dB of a variant, else ULPs, else nothing."""
    verdict = overall(cells)
    ratios = [cell.row_sqnr for cell in cells if cell.row_sqnr is not None]
    if verdict == "close" and cells[0].variant and ratios:
        return f"{min(ratios):.0f} dB"
    ulps = [cell.max_ulp for cell in cells if cell.max_ulp is not None]
    return f"{max(ulps)} {ulp}" if ulps and verdict != "exact" else ""
