"""A report of one model at a glance: artifacts by runtimes, and what is behind each verdict."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from verify.performance import Performance
from verify.report import GATING, Cell, Report, nearness, overall
from verify.verdict import GRADES

# Outputs of one cell that are listed one by one; of the rest, the worst are among these.
MOST = 24


@dataclass(frozen=True)
class Entry:
    """One artifact in one runtime: what its cells say together, and each of them."""

    artifact: str
    runtime: str
    cells: tuple[Cell, ...]
    performance: tuple[Performance, ...]

    @property
    def verdict(self) -> str:
        return overall([cell for cell in self.cells if cell.regime in GATING])

    @property
    def figure(self) -> str:
        return nearness([cell for cell in self.cells if cell.regime in GATING], "ULP")

    @property
    def edges(self) -> bool:
        """Whether an edge case is wrong or failed."""
        return any(not cell.passed for cell in self.cells if cell.regime == "edge")

    @property
    def listed(self) -> tuple[Cell, ...]:
        return tuple(sorted(self.cells, key=_badness, reverse=True)[:MOST])

    @property
    def key(self) -> str:
        return f"{self.artifact}-{self.runtime}".replace(" ", "-")


def _badness(cell: Cell) -> tuple[bool, bool, int, float]:
    grade = GRADES.index(cell.verdict) if cell.verdict in GRADES else -1
    return not cell.passed, cell.regime in GATING, grade, cell.bound_ratio or 0.0


@dataclass(frozen=True)
class Table:
    """Artifacts that the same runtimes run."""

    runtimes: tuple[str, ...]
    rows: dict[str, dict[str, Entry]]


@dataclass(frozen=True)
class Overview:
    """`report` is the part of one that is about one model."""

    report: Report

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        cells: dict[tuple[str, str], list[Cell]] = {}
        for cell in self.report.cells:
            if cell.verdict != "absent":
                cells.setdefault((cell.full_format, cell.runtime), []).append(cell)
        return tuple(
            Entry(artifact, runtime, tuple(found), tuple(self._performance(found[0])))
            for (artifact, runtime), found in cells.items()
        )

    def _performance(self, cell: Cell) -> Iterator[Performance]:
        for one in self.report.performance:
            if (one.full_format, one.runtime) == (cell.full_format, cell.runtime):
                yield one

    @property
    def tables(self) -> Iterator[Table]:
        groups: dict[tuple[str, ...], dict[str, dict[str, Entry]]] = {}
        names = list(dict.fromkeys(entry.artifact for entry in self.entries))
        for format_ in dict.fromkeys(name.split()[0] for name in names):
            rows = {name: self._row(name) for name in names if name.split()[0] == format_}
            runtimes = tuple(dict.fromkeys(runtime for row in rows.values() for runtime in row))
            groups.setdefault(runtimes, {}).update(rows)
        for runtimes, rows in groups.items():
            yield Table(runtimes, rows)

    def _row(self, artifact: str) -> dict[str, Entry]:
        return {entry.runtime: entry for entry in self.entries if entry.artifact == artifact}
