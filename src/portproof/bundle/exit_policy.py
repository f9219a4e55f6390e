"""A report's exit status, and the reasons for it.

With targets, only they decide: whoever ships to a phone does not fail by a browser. Without, every
artifact has to be proven in some runtime, and none may be wrong or have failed in any.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from portproof.bundle.manifest import DECIDING, is_training

if TYPE_CHECKING:
    from portproof.bundle.report import Cell, Report


def exit_status(report: Report) -> int:
    """0 proven; 1 not proven, refused, or nothing compared; 3 a target or a request is absent.

    130 where Ctrl-C ended it, as shells report SIGINT.
    """
    if report.interrupted:
        return 130
    if report.refused or failures(report) or unproven(report):
        return 1
    if unchecked(report):
        return 3
    return 0 if any(cell.passed and _counts(report, cell) for cell in report.cells) else 1


def failures(report: Report) -> list[Cell]:
    """The cells that make the exit status 1: of targets, also where they lack something."""
    return [
        cell
        for cell in report.cells
        if _counts(report, cell)
        and (
            cell.verdict in ("wrong", "failed")
            or (cell.verdict == "unsupported" and report.targets.get(cell.model))
        )
    ]


def _counts(report: Report, cell: Cell) -> bool:
    targets = report.targets.get(cell.model, ())
    if targets and cell.runtime not in targets:
        return False
    return cell.regime in DECIDING or report.strict


def unproven(report: Report) -> list[str]:
    """The artifacts of which a signature is supported by no runtime that was asked, a line each.

    What is wrong or failed somewhere is among the failures. With targets, it is theirs to say. A
    training step that no runtime here can do is told where the model ships, and does not count
    where the artifact's other signatures are supported: who loads it to infer needs no gradient.
    """
    verdicts: dict[tuple[str, str, str, str], dict[str, set[str]]] = {}
    for cell in report.cells:
        if (
            cell.verdict != "absent"
            and cell.regime in DECIDING
            and cell.model not in report.targets
        ):
            runtimes = verdicts.setdefault((*cell.artifact, cell.signature), {})
            runtimes.setdefault(cell.place, set()).add(cell.verdict)
    lacking = [
        key
        for key, runtimes in verdicts.items()
        if all("unsupported" in of_runtime for of_runtime in runtimes.values())
    ]
    supported = {key[:3] for key in verdicts.keys() - set(lacking)}
    return [
        f"{' '.join(filter(None, key[:3]))} {key[3]}: no runtime here supports all of it"
        for key in lacking
        if not (is_training(key[3]) and key[:3] in supported)
    ]


def unchecked(report: Report) -> list[str]:
    """What was requested or is a target, and is covered by no cell with a verdict, a line each."""
    named = dict.fromkeys(report.requested)
    named |= dict.fromkeys(name for names in report.targets.values() for name in names)
    why = report.absent
    absent = [f"runtime {name} is absent; {why[name]}" for name in named if name in why]
    with_cells = {cell.runtime for cell in report.cells}
    idle = [f"runtime {name} had nothing to run" for name in named if name not in with_cells]
    run = {cell.artifact for cell in report.cells if cell.verdict != "absent"}
    never_run = [
        f"{' '.join(filter(None, key))} ran in no runtime"
        for key in report.artifacts
        if key not in run and not report.targets.get(key[0])
    ]
    unknown = [
        f"no runtime knows {model} {name}"
        for model, names in report.unknown_formats.items()
        for name in names
        if not report.targets.get(model)
    ]
    return [*absent, *idle, *never_run, *unknown]
