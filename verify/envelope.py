"""Where along an input's magnitude a runtime stops giving the model's numbers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict

from verify.float_format import Array
from verify.verdict import GRADES, Verdict, worst


@dataclass(frozen=True)
class Point:
    """One row of a sweep: the largest magnitudes in its input and in an output, and its verdict."""

    given: float
    made: float
    verdict: Verdict
    reason: str


class Envelope(BaseModel):
    """The region around the model's own data in which an output keeps its verdict, as measured.

    The magnitude of `input` was taken down and up from that of the model's own data, until the
    verdict was no more `verdict` or better. `lower` and `upper` say in words where that was and
    what came there, and are empty where it never was; `low` and `high` are the last magnitudes
    before.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: str
    verdict: Verdict
    low: float
    high: float
    lower: str = ""
    upper: str = ""

    def __str__(self) -> str:
        if not self.lower and not self.upper:
            return f"{self.verdict} for every {self.input} that was tried"
        return f"{self.verdict} for " + ", and ".join(filter(None, [self.upper, self.lower]))


def magnitude(array: Array) -> float:
    """The largest finite absolute value, exactly for integers below 2^53; 0 where there is none."""
    values = np.abs(array.astype(np.float64))
    return float(values[np.isfinite(values)].max(initial=0.0))


def envelope(
    name: str, formula: str, own: float, points: Sequence[Point], needed: Verdict
) -> Envelope | None:
    """The region around the magnitude `own` in which every point is `needed` or better.

    `formula` is what the output is of the input `name`, or empty. None where no region holds `own`.
    """
    ordered = sorted(points, key=lambda point: point.given)
    up = _until_bad([p for p in ordered if p.given >= own], needed)
    down = _until_bad([p for p in reversed(ordered) if p.given <= own], needed)
    good = [*up.good, *down.good]
    if not good:
        return None
    return Envelope(
        input=name,
        verdict=worst([point.verdict for point in good]),
        low=min(point.given for point in good),
        high=max(point.given for point in good),
        lower=_lower(name, down),
        upper=_upper(name, formula, up),
    )


@dataclass(frozen=True)
class _Walk:
    """Points in the order of a walk away from the model's own data, and the first bad one."""

    good: list[Point]
    bad: Point | None


def _until_bad(points: Sequence[Point], needed: Verdict) -> _Walk:
    good: list[Point] = []
    for point in points:
        if GRADES.index(point.verdict) > GRADES.index(needed):
            # Of points of one magnitude, a good one says nothing where another is bad.
            return _Walk([p for p in good if p.given != point.given], point)
        good.append(point)
    return _Walk(good, None)


def _upper(name: str, formula: str, walk: _Walk) -> str:
    """In words; in a power of two where the limit of the input or of the output is one."""
    if walk.bad is None:
        return ""
    if not walk.good:  # the first point beyond the model's own data
        return f"|{name}| < {walk.bad.given:g} (beyond: {walk.bad.reason})"
    last = walk.good[-1]
    made = max(point.made for point in walk.good)
    beyond = f" (beyond: {walk.bad.reason})"
    for what, good, bad in ((name, last.given, walk.bad.given), (formula, made, walk.bad.made)):
        power = 2.0 ** math.ceil(math.log2(bad)) / 2 if bad > 0 else 0.0
        power = bad if bad == 2 * power else power
        if what and good < power <= bad < 2 * good:
            return f"|{what}| < 2^{int(math.log2(power))}{beyond}"
    return f"|{name}| <= {last.given:g}{beyond}"


def _lower(name: str, walk: _Walk) -> str:
    if walk.bad is None:
        return ""
    if not walk.good:
        return f"|{name}| > {walk.bad.given:g} (below: {walk.bad.reason})"
    return f"|{name}| >= {walk.good[-1].given:g} (below: {walk.bad.reason})"
