"""Many cells as one: their counts, their worst verdict, and the figure that tells most."""

from collections.abc import Iterable, Sequence

from portproof.bundle.manifest import DECIDING
from portproof.bundle.report import Cell, NotRun, Report
from portproof.bundle.verdicts import GRADES, Verdict, worst


def deciding(cells: Iterable[Cell]) -> list[Cell]:
    """The cells of the regimes that decide the exit status."""
    return [cell for cell in cells if cell.regime in DECIDING]


def counts(cells: Iterable[Cell]) -> dict[str, int]:
    """How many of the deciding cells have each verdict, from best to worst."""
    cells = deciding(cells)
    by_verdict = {v: sum(cell.verdict == v for cell in cells) for v in (*GRADES, "absent")}
    return {verdict: count for verdict, count in by_verdict.items() if count}


def counted(cells: Iterable[Cell]) -> str:
    """`92 exact, 50 faithful`."""
    return ", ".join(f"{count} {verdict}" for verdict, count in counts(cells).items())


def counts_text(report: Report) -> str:
    """The same of a whole report."""
    return counted(report.cells)


def overall(cells: Iterable[Cell]) -> Verdict:
    """The worst verdict of cells that have one; `absent` where none has."""
    verdicts = [cell.verdict for cell in cells if cell.verdict != "absent"]
    return worst(verdicts) if verdicts else "absent"


def not_run_text(not_run: Sequence[NotRun]) -> str:
    """What was left out, in a line, or nothing."""
    slow = dict.fromkeys(entry.place for entry in not_run if entry.regime != "edge")
    # Where nothing ran, the cells that decide say so.
    edge = [entry for entry in not_run if entry.regime == "edge" and not entry.hopeless]
    parts = []
    if slow:
        parts.append(f"some rows in {', '.join(slow)}, where a row takes long")
    if edge:
        left_out, runtimes = sum(len(e.cases) for e in edge), dict.fromkeys(e.place for e in edge)
        where = next(iter(runtimes)) if len(runtimes) == 1 else f"{len(runtimes)} runtimes"
        of = sum(entry.of for entry in edge)
        parts.append(f"{left_out} of {of} edge cases in {where}: portproof verify --edge")
    return "; ".join(parts)


MAX_ULPS = 99  # beyond which they are more digits than anyone reads


def accuracy(cells: Sequence[Cell]) -> str:
    """The worst accuracy on labelled rows, `94 %`, or nothing."""
    shares = [cell.accuracy for cell in cells if cell.accuracy is not None]
    return f"{100 * min(shares):.0f} %" if shares else ""


def nearness(cells: Sequence[Cell], ulp: str = "ulp") -> str:
    """The figure that tells most of deciding cells, or nothing where that is their verdict.

    Of a variant the dB of the whole output; else ULPs where they are few; else the largest
    difference as a share of the output's range.
    """
    verdict = overall(cells)
    if verdict in ("exact", "unsupported", "failed", "absent"):
        return ""
    ratios = [cell.sqnr for cell in cells if cell.sqnr is not None]
    if cells[0].variant and ratios:
        return f"{min(ratios):.0f} dB"
    ulps = [cell.max_ulp for cell in cells if cell.max_ulp is not None]
    if ulps and max(ulps) <= MAX_ULPS:
        return f"{max(ulps)} {ulp}"
    shares = [cell.share_of_range for cell in cells if cell.share_of_range is not None]
    return f"{max(shares):.0e}" if shares else ""
