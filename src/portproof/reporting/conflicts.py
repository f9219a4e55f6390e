"""What one host proves and another does not: never an average, and told first."""

from collections.abc import Iterator
from dataclasses import dataclass

from portproof.bundle.report import Cell, Report
from portproof.bundle.text import shortened
from portproof.reporting.summary import deciding


@dataclass(frozen=True)
class Conflict:
    """One artifact in one runtime, which hosts disagree about.

    Attributes:
        artifact: The artifact.
        runtime: The runtime.
        proven: The hosts that prove it.
        others: The hosts that do not.
        worst: A cell of those.
    """

    artifact: str
    runtime: str
    proven: tuple[str, ...]
    others: tuple[str, ...]
    worst: Cell

    def __str__(self) -> str:
        cell = self.worst
        reason = f": {cell.detail}" if cell.detail else ""
        return (
            f"{self.artifact} in {self.runtime} is proven on {shortened(self.proven)}, and "
            f"{cell.verdict} on {shortened(self.others)}{reason}"
        )


def conflicts(report: Report) -> Iterator[Conflict]:
    """The conflicts of one model's report, in its order."""
    cells: dict[tuple[str, str], dict[str, list[Cell]]] = {}
    for cell in deciding(report.cells) if report.hosts else ():
        if cell.verdict != "absent":
            by_host = cells.setdefault((cell.full_format, cell.runtime), {})
            by_host.setdefault(cell.host, []).append(cell)
    for (artifact, runtime), by_host in cells.items():
        failing = {
            host: next(cell for cell in of_host if not cell.passed)
            for host, of_host in by_host.items()
            if not all(cell.passed for cell in of_host)
        }
        proven = tuple(host for host in by_host if host not in failing)
        if proven and failing:
            worst = next(iter(failing.values()))
            yield Conflict(artifact, runtime, proven, tuple(failing), worst)
