"""The magnitudes of an input at which a runtime stops giving the model's numbers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from portproof.bundle.float_format import Array
from portproof.bundle.report import Envelope
from portproof.bundle.verdicts import GRADES, Verdict, worst


@dataclass(frozen=True)
class Point:
    """One row of a sweep: the largest magnitudes of its input and of an output, and its verdict."""

    input: float
    output: float
    verdict: Verdict
    reason: str


def magnitude(array: Array) -> float:
    """The largest finite absolute value, exactly for integers below 2^53; 0 where there is none."""
    values = np.abs(array.astype(np.float64))
    return float(values[np.isfinite(values)].max(initial=0.0))


def envelope(
    name: str, formula: str, typical: float, points: Sequence[Point], needed: Verdict
) -> Envelope | None:
    """The region around the model's own data in which every point is `needed` or better.

    Args:
        name: The input that was swept.
        formula: The output as a formula of the input, or empty.
        typical: The magnitude of the input in the model's own data.
        points: The points, in any order.
        needed: The verdict that a point must have.

    Returns None where no region holds `typical`.
    """
    ordered = sorted(points, key=lambda point: point.input)
    up = _until_bad([p for p in ordered if p.input >= typical], needed)
    down = _until_bad([p for p in reversed(ordered) if p.input <= typical], needed)
    good = [*up.good, *down.good]
    if not good:
        return None
    return Envelope(
        input=name,
        verdict=worst([point.verdict for point in good]),
        low=min(point.input for point in good),
        high=max(point.input for point in good),
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
            # Where one point of a magnitude is bad, good ones of the same do not count.
            return _Walk([p for p in good if p.input != point.input], point)
        good.append(point)
    return _Walk(good, None)


def _upper(name: str, formula: str, walk: _Walk) -> str:
    """In words; as a power of two where the input or the output ends at one."""
    if walk.bad is None:
        return ""
    if not walk.good:  # the first point beyond the model's own data
        return f"|{name}| < {walk.bad.input:g} (beyond: {walk.bad.reason})"
    last = walk.good[-1]
    output = max(point.output for point in walk.good)
    beyond = f" (beyond: {walk.bad.reason})"
    for text, good, bad in ((name, last.input, walk.bad.input), (formula, output, walk.bad.output)):
        power = 2.0 ** math.ceil(math.log2(bad)) / 2 if bad > 0 else 0.0
        power = bad if bad == 2 * power else power
        if text and good < power <= bad < 2 * good:
            return f"|{text}| < 2^{int(math.log2(power))}{beyond}"
    return f"|{name}| <= {last.input:g}{beyond}"


def _lower(name: str, walk: _Walk) -> str:
    if walk.bad is None:
        return ""
    if not walk.good:
        return f"|{name}| > {walk.bad.input:g} (below: {walk.bad.reason})"
    return f"|{name}| >= {walk.good[-1].input:g} (below: {walk.bad.reason})"
