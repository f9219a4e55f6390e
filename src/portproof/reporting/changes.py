"""Two reports -> what got worse, what got better, and by how much of the bound numbers moved."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from portproof.bundle.report import Cell, Report
from portproof.bundle.verdicts import GRADES, PASSING, Verdict
from portproof.reporting.summary import deciding, overall

# An artifact, as people name it, and a runtime.
Place = tuple[str, str]
# Shares of the bound that are one number to a person.
_SAME_SHARE = 0.005
# A variant with twice the noise is another one.
_SAME_DECIBELS = 3.0


@dataclass(frozen=True)
class Side:
    """What one report has of an artifact in a runtime.

    Attributes:
        verdict: The worst of its cells that decide.
        share: The most that any output uses of its bound; None of a variant, which is beyond it.
        sqnr: Of a variant, the least signal to noise ratio of any output, in dB.
        outputs: The signatures and outputs that were compared.
        reason: Why the worst cell is what it is.
        size: Bytes of the artifact.
        seconds: The median time of a call with one row.
    """

    verdict: Verdict
    share: float | None = None
    sqnr: float | None = None
    outputs: frozenset[tuple[str, str]] = frozenset()
    reason: str = ""
    size: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Change:
    """An artifact in a runtime, before and after; None where a report does not have it.

    Attributes:
        artifact: The model and the format.
        runtime: The runtime.
    """

    artifact: str
    runtime: str
    old: Side | None
    new: Side | None

    @property
    def kind(self) -> str:
        """`worse`, `better`, `moved` within its verdict, `gone`, `added` or `same`."""
        if self.old is None or self.new is None:
            return "added" if self.old is None else "gone"
        if self.old.outputs - self.new.outputs:
            return "worse"
        before, after = GRADES.index(self.old.verdict), GRADES.index(self.new.verdict)
        if not {self.old.verdict, self.new.verdict} & PASSING:
            return "same" if before == after else "moved"  # from one bad thing to another
        if before != after:
            return "worse" if after > before else "better"
        lost = (self.old.sqnr or 0.0) - (self.new.sqnr or 0.0)
        if self.old.sqnr is not None and self.new.sqnr is not None and abs(lost) > _SAME_DECIBELS:
            return "worse" if lost > 0 else "better"
        shares = [side.share or 0.0 for side in (self.old, self.new)]
        return "moved" if abs(shares[0] - shares[1]) > _SAME_SHARE else "same"

    @property
    def is_regression(self) -> bool:
        """Whether what was proven no longer is, or is less near than it was."""
        if self.old is None or self.old.verdict not in PASSING:
            return False
        return self.kind in ("worse", "gone")


@dataclass(frozen=True)
class Comparison:
    """All changes between two reports.

    Attributes:
        old: What the older one is of, as the person named it.
        new: The same of the newer one.
        changes: One for each artifact and runtime of either.
        uncompared: In words, what only one of them was asked for.
    """

    old: str
    new: str
    changes: Sequence[Change]
    uncompared: Sequence[str] = field(default=())

    @property
    def regressions(self) -> list[Change]:
        return [change for change in self.changes if change.is_regression]


def compare_reports(
    old: Report, new: Report, names: tuple[str, str], runtimes: Mapping[str, str]
) -> Comparison:
    """Compare two reports, of one model or several.

    Args:
        old: The older one.
        new: The newer one.
        names: What each is of, in words.
        runtimes: Of runtimes that are compared with each other, the newer one's name by the
            older's, such as `litert@2.3.0` by `litert@1.4.0`.
    """
    models = _renamed_models(old, new)
    before = _sides(old, models, runtimes)
    after = _sides(new, {}, {})
    here = [_runtimes(report) for report in (old, new)]
    missing = {runtimes.get(name, name) for name in here[0]} ^ here[1]
    both = _artifacts(old, models) & _artifacts(new, {})
    # An artifact that only one of them has is gone or added, whichever runtimes would run it.
    changes = [
        Change(*place, before.get(place), after.get(place))
        for place in dict.fromkeys([*before, *after])
        if place[1] not in missing or place[0] not in both
    ]
    told = [f"on one side only: {', '.join(sorted(missing))}"] if missing else []
    return Comparison(*names, changes, told)


def _renamed_models(old: Report, new: Report) -> dict[str, str]:
    """Of two single models of two names, what is compared is one and the other."""
    if len(old.bundle) == len(new.bundle) == 1:
        return dict(zip(old.bundle, new.bundle, strict=True))
    return {}


def _runtimes(report: Report) -> set[str]:
    return {cell.place for cell in report.cells if cell.verdict != "absent"}


def _artifacts(report: Report, models: Mapping[str, str]) -> set[str]:
    return {
        f"{models.get(model, model)} {name}"
        for model, sizes in report.sizes.items()
        for name in sizes
    }


def _sides(
    report: Report, models: Mapping[str, str], runtimes: Mapping[str, str]
) -> dict[Place, Side]:
    cells: dict[tuple[str, str, str], list[Cell]] = {}
    for cell in deciding(report.cells):
        if cell.verdict != "absent":
            cells.setdefault((cell.model, cell.full_format, cell.place), []).append(cell)
    speeds = dict(_speeds(report))
    sides = {}
    for (model, format_, runtime), of_place in cells.items():
        verdict = overall(of_place)
        reasons = [cell.detail for cell in of_place if cell.verdict == verdict and cell.detail]
        shares = [cell.bound_ratio for cell in of_place if cell.bound_ratio and not cell.variant]
        ratios = [cell.sqnr for cell in of_place if cell.sqnr is not None and cell.variant]
        name = f"{models.get(model, model)} {format_}"
        sides[name, runtimes.get(runtime, runtime)] = Side(
            verdict,
            max(shares, default=None),
            min(ratios, default=None),
            frozenset((cell.signature, cell.output) for cell in of_place),
            reasons[0] if reasons and verdict not in ("exact", "faithful") else "",
            report.sizes.get(model, {}).get(format_),
            speeds.get((model, format_, runtime)),
        )
    return sides


def _speeds(report: Report) -> Iterator[tuple[tuple[str, str, str], float]]:
    for timed in report.performance:
        one_row = [timing.median for timing in timed.timings if timing.rows == 1]
        if one_row:
            yield (timed.model, timed.full_format, timed.place), one_row[0]


def in_order(changes: Iterable[Change]) -> list[Change]:
    """What needs a person first, and nothing that stayed as it was."""
    order = ("worse", "gone", "better", "moved", "added")
    told = [change for change in changes if change.kind != "same"]
    return sorted(told, key=lambda change: (not change.is_regression, order.index(change.kind)))
