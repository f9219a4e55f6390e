"""A report's exit status, and the reasons for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from portproof.bundle.manifest import DECIDING

if TYPE_CHECKING:
    from portproof.bundle.report import Cell, Report


def exit_status(report: Report) -> int:
    """0 proven; 1 wrong, failed, refused, or nothing compared; 3 requested and absent.

    130 where Ctrl-C ended it, as shells report SIGINT.
    """
    if report.interrupted:
        return 130
    if report.refused or failures(report):
        return 1
    if unchecked(report):
        return 3
    return 0 if any(cell.passed and cell.regime in DECIDING for cell in report.cells) else 1


def failures(report: Report) -> list[Cell]:
    """The cells that make the exit status 1."""
    return [cell for cell in report.not_passing if cell.regime in DECIDING or report.strict]


def unchecked(report: Report) -> list[str]:
    """What was requested and is covered by no cell with a verdict, a line each."""
    requested = report.requested
    absent = [f"runtime {name} is absent" for name in requested if name in report.absent]
    with_cells = {cell.runtime for cell in report.cells}
    idle = [f"runtime {name} had nothing to run" for name in requested if name not in with_cells]
    run = {cell.artifact for cell in report.cells if cell.verdict != "absent"}
    never_run = [
        f"{' '.join(filter(None, key))} ran in no runtime"
        for key in report.artifacts
        if key not in run
    ]
    unknown = [
        f"no runtime knows {model} {name}"
        for model, names in report.unknown_formats.items()
        for name in names
    ]
    return [*absent, *idle, *never_run, *unknown]
