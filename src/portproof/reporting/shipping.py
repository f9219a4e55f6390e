"""Where a model ships: the runtimes in which it is proven, and what keeps it from the others."""

from collections.abc import Iterable
from dataclasses import dataclass

from portproof.bundle.manifest import is_training
from portproof.bundle.report import Cell, Report
from portproof.bundle.text import shortened
from portproof.bundle.verdicts import PASSING
from portproof.reporting.summary import deciding, overall


@dataclass(frozen=True)
class Obstacle:
    """What a runtime does not run as proven: an artifact or training, and why.

    `what` is empty where that is all that it was asked.
    """

    runtime: str
    what: str
    why: str


def destinations(report: Report) -> list[str]:
    """The runtimes in which at least one artifact is proven, in the report's order."""
    return [
        runtime
        for runtime, entries in _entries(report).items()
        if any(overall(cells) in PASSING for cells in entries.values())
    ]


def obstacles(report: Report) -> list[Obstacle]:
    """What keeps the model from runtimes that are here."""
    found = []
    for runtime, entries in _entries(report).items():
        reasons = _reasons(entries)
        if len(reasons) == len(entries):
            found.append(Obstacle(runtime, "", ", ".join(dict.fromkeys(reasons.values()))))
        else:
            merged = _with_whole_formats(reasons, list(entries))
            found += [Obstacle(runtime, what, why) for what, why in merged.items()]
    return found


def _with_whole_formats(reasons: dict[str, str], asked: list[str]) -> dict[str, str]:
    """The reasons, with one for a format of which no variant runs, for the same reason."""
    merged: dict[str, str] = {}
    for what, why in reasons.items():
        format_ = what.split(" ")[0]
        variants = [other for other in asked if other.split(" ")[0] == format_]
        whole = all(reasons.get(variant) == why for variant in variants)
        merged[format_ if whole else what] = why
    return merged


def _reasons(entries: dict[str, list[Cell]]) -> dict[str, str]:
    """By what does not run, the reason in a word: what is lacking, or the verdict."""
    return {
        what: next((c.lacks for c in cells if c.lacks), None) or overall(cells)
        for what, cells in entries.items()
        if overall(cells) not in PASSING
    }


def _entries(report: Report) -> dict[str, dict[str, list[Cell]]]:
    """By runtime, and by artifact or training, the cells that decide."""
    entries: dict[str, dict[str, list[Cell]]] = {}
    for cell in deciding(report.cells):
        if cell.verdict != "absent":
            what = "training" if is_training(cell.signature) else cell.full_format
            entries.setdefault(cell.place, {}).setdefault(what, []).append(cell)
    return entries


def not_to_text(report: Report, most: int | None = None) -> str:
    """`tflite-micro (GELU), training in tfjs-node-wasm (Conv2DBackpropFilter)`, or nothing.

    With `most`, so many of them, and how many more there are.
    """
    grouped: dict[tuple[str, str], list[str]] = {}
    for obstacle in obstacles(report):
        grouped.setdefault((obstacle.what, obstacle.why), []).append(obstacle.runtime)
    told = [_joined(runtimes, *key) for key, runtimes in grouped.items()]
    return shortened(told, len(told) if most is None else most)


def _joined(runtimes: Iterable[str], what: str, why: str) -> str:
    named = "/".join(dict.fromkeys(runtimes))
    return f"{what} in {named} ({why})" if what else f"{named} ({why})"
