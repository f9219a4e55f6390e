"""A report of one model at a glance: artifacts by runtimes, and what is behind each verdict."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from portproof.bundle.manifest import DECIDING
from portproof.bundle.report import Cell, Performance, Report
from portproof.bundle.text import shortened
from portproof.bundle.verdicts import GRADES
from portproof.reporting.causes import causes
from portproof.reporting.summary import accuracy, deciding, nearness, overall

# Outputs of one entry that are listed one by one. The worst are among these.
MAX_LISTED = 24


@dataclass(frozen=True)
class Entry:
    """One artifact in one runtime: its cells together, and each of them."""

    artifact: str
    runtime: str
    cells: tuple[Cell, ...]
    performance: tuple[Performance, ...]

    @property
    def verdict(self) -> str:
        return overall(deciding(self.cells))

    @property
    def figure(self) -> str:
        cells = deciding(self.cells)
        return ", ".join(filter(None, [nearness(cells, "ULP"), accuracy(cells)]))

    @property
    def has_edge_failure(self) -> bool:
        """Whether an edge case is wrong or failed."""
        return any(not cell.passed for cell in self.cells if cell.regime == "edge")

    @property
    def reasons(self) -> list[str]:
        """What there is to say of its verdicts, each once; of edge cases at the end."""
        told = [cell for cell in self.cells if cell.detail]
        edge = [cell for cell in told if cell.regime == "edge"]
        kinds = (("", deciding(told)), ("of edge cases: ", edge))
        return [
            f"{kind}{c.verdict}, {shortened(c.outputs)}: {c.reason}"
            for kind, cells in kinds
            for c in causes(cells)
        ]

    @property
    def listed(self) -> tuple[Cell, ...]:
        return tuple(sorted(self.cells, key=_badness, reverse=True)[:MAX_LISTED])

    @property
    def key(self) -> str:
        return f"{self.artifact}-{self.runtime}".replace(" ", "-")


def _badness(cell: Cell) -> tuple[bool, bool, int, float]:
    grade = GRADES.index(cell.verdict) if cell.verdict in GRADES else -1
    return not cell.passed, cell.regime in DECIDING, grade, cell.bound_ratio or 0.0


@dataclass(frozen=True)
class Matrix:
    """Artifacts that the same runtimes run: by artifact and runtime, an entry."""

    runtimes: tuple[str, ...]
    rows: dict[str, dict[str, Entry]]


@dataclass(frozen=True)
class Overview:
    """The part of a report that is about one model."""

    report: Report

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        cells: dict[tuple[str, str], list[Cell]] = {}
        for cell in self.report.cells:
            if cell.verdict != "absent":
                cells.setdefault((cell.full_format, cell.place), []).append(cell)
        return tuple(
            Entry(artifact, runtime, tuple(group), tuple(self._performance(group[0])))
            for (artifact, runtime), group in cells.items()
        )

    def _performance(self, cell: Cell) -> Iterator[Performance]:
        for timed in self.report.performance:
            if (timed.full_format, timed.place) == (cell.full_format, cell.place):
                yield timed

    @property
    def matrices(self) -> Iterator[Matrix]:
        groups: dict[tuple[str, ...], dict[str, dict[str, Entry]]] = {}
        names = list(dict.fromkeys(entry.artifact for entry in self.entries))
        for format_ in dict.fromkeys(name.split()[0] for name in names):
            rows = {name: self._row(name) for name in names if name.split()[0] == format_}
            runtimes = tuple(dict.fromkeys(runtime for row in rows.values() for runtime in row))
            groups.setdefault(runtimes, {}).update(rows)
        for runtimes, rows in groups.items():
            yield Matrix(runtimes, rows)

    def _row(self, artifact: str) -> dict[str, Entry]:
        return {entry.runtime: entry for entry in self.entries if entry.artifact == artifact}
