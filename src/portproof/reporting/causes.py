"""Cells that are not proven, by their cause: one reason is told once, whatever it happened to."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from portproof.bundle.report import Cell
from portproof.bundle.text import shortened
from portproof.bundle.verdicts import GRADES, Verdict

# What differs between two tellings of one reason: the case, and every number.
_CASE = re.compile(r"^(?:typical|batch|edge)[\w.-]*: ")
_MORE = re.compile(r" \(and \d+ more\)$")
_NUMBER = re.compile(r"[-+]?(?:\d[\d.]*(?:e[-+]?\d+)?|nan\b|inf\b)", re.IGNORECASE)
_INDEX = re.compile(r"\[[#, ]*\]")


@dataclass(frozen=True)
class Cause:
    """One reason, and the cells that have it; the first tells it best."""

    verdict: Verdict
    cells: tuple[Cell, ...]

    @property
    def reason(self) -> str:
        """In the words of the cell that is farthest off."""
        return self.cells[0].detail

    @property
    def artifacts(self) -> list[str]:
        return list(dict.fromkeys(cell.full_format for cell in self.cells))

    @property
    def runtimes(self) -> list[str]:
        return list(dict.fromkeys(cell.place for cell in self.cells))

    @property
    def outputs(self) -> list[str]:
        return list(dict.fromkeys(f"{cell.signature}.{cell.output}" for cell in self.cells))

    @property
    def place(self) -> str:
        """`tflite int8 in litert and 2 more: serving_default.y and 3 more`."""
        where = f"{shortened(self.artifacts)} in {shortened(self.runtimes)}"
        return f"{where}: {shortened(self.outputs, 1)}"


def causes(cells: Iterable[Cell]) -> list[Cause]:
    """The causes of some cells, the worst verdict first."""
    grouped: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        grouped.setdefault((cell.verdict, _kind(cell)), []).append(cell)
    found = [
        Cause(group[0].verdict, tuple(sorted(group, key=lambda c: -(c.bound_ratio or 0.0))))
        for group in grouped.values()
    ]
    return sorted(found, key=lambda cause: -GRADES.index(cause.verdict))


def _kind(cell: Cell) -> str:
    if cell.lacks:
        return cell.lacks
    plain = _MORE.sub("", _CASE.sub("", cell.detail))
    return _INDEX.sub("[#]", _NUMBER.sub("#", plain))
