"""An input along its magnitudes, from the smallest that its dtype has to the largest."""

from typing import Any

import ml_dtypes
import numpy as np

Array = np.ndarray[Any, Any]

FEW = 8  # points, at the least
CALLS = 32  # points where each is a call of its own, at the most


def points(rows: Array, max_points: int) -> Array:
    """Inputs of growing magnitude, `[points, ...]`, made of example rows `[rows, ...]`.

    Floats: two example rows scaled by powers of two, which is exact, each time fourfold, or in
    larger steps where `max_points` are fewer. Integers, whose last bit is what a float loses: rows
    full of one odd value and its negative, eight between one power of two and the next, or fewer.
    Booleans have no magnitudes: no points. There are at least `FEW` points.
    """
    if rows.dtype == np.bool_ or not rows.size:
        return rows[:0]
    max_points = max(max_points, FEW)
    return _whole(rows, max_points) if rows.dtype.kind in "iu" else _scaled(rows, max_points)


def _scaled(rows: Array, max_points: int) -> Array:
    limits: Any = ml_dtypes.finfo(rows.dtype)  # type: ignore[no-untyped-call]
    wide = rows.astype(np.float64)
    wide = wide[np.isfinite(wide).reshape(len(wide), -1).all(axis=1)]
    sizes = np.abs(wide).reshape(len(wide), -1).max(axis=1)
    if not sizes.any():
        return rows[:0]
    # The row that reaches farthest, and one from the middle of the others.
    chosen = wide[sorted({int(sizes.argmax()), int(np.argsort(sizes)[(len(sizes) - 1) // 2])})]
    largest = int(np.frexp(sizes.max())[1])
    lowest = limits.minexp - limits.nmant + 1
    octaves = limits.maxexp - lowest
    step = max(2, -(-octaves * len(chosen) // min(max_points, octaves)))
    exponents = range(lowest, limits.maxexp + 1, step)
    scaled = [row * 2.0 ** (exponent - largest) for exponent in exponents for row in chosen]
    return np.array(scaled).astype(rows.dtype)


def _whole(rows: Array, max_points: int) -> Array:
    info = np.iinfo(rows.dtype)
    per_octave = 1 if max_points < 8 * info.bits else 8
    values = {0}
    for octave in range(info.bits):
        for part in range(per_octave):
            value = 2**octave + (2**octave * part // per_octave) | 1
            values |= {n for n in (value, -value) if info.min <= n <= info.max}
    ordered = sorted(values, key=lambda n: (abs(n), n))
    chosen = np.linspace(0, len(ordered) - 1, min(max_points, len(ordered))).round().astype(int)
    column = np.array(ordered, rows.dtype)[chosen].reshape(-1, *[1] * (rows.ndim - 1))
    return np.broadcast_to(column, (len(column), *rows.shape[1:])).copy()
