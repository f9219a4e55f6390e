"""The range of an input's magnitudes in which a verdict holds."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portproof.bundle.verdicts import Verdict
from portproof.comparing.envelopes import Point, envelope, magnitude
from portproof.vectors.sweeps import points


def swept_envelope(limit: float, formula: str = "", factor: float = 1.0) -> str:
    """The envelope of integers, eight per power of two, exact while factor * n is below a limit."""
    numbers = [2**k + 2**k * part // 8 | 1 for k in range(31) for part in range(8)]
    measured = [point(n, n * factor, "exact" if n * factor < limit else "wrong") for n in numbers]
    region = envelope("x", formula, 5, measured, "faithful")
    assert region
    return str(region)


def point(input_: float, output: float, verdict: Verdict) -> Point:
    return Point(input_, output, verdict, "too far" if verdict == "wrong" else "")


def test_a_limit_at_a_power_of_two_of_the_input() -> None:
    assert swept_envelope(2**20) == "exact for |x| < 2^20 (beyond: too far)"


def test_a_limit_at_a_power_of_two_of_the_output() -> None:
    assert (
        swept_envelope(2**24, "x * weight", 3) == "exact for |x * weight| < 2^24 (beyond: too far)"
    )


def test_a_limit_at_no_power_of_two_is_given_as_a_number() -> None:
    assert swept_envelope(700) == "exact for |x| <= 641 (beyond: too far)"


def test_a_region_with_a_lower_and_an_upper_limit() -> None:
    measured = [
        point(2.0**k, 1, "faithful" if -20 < k < 30 else "wrong") for k in range(-40, 40, 2)
    ]
    region = envelope("x", "", 1.0, measured, "faithful")
    assert region
    assert (region.low, region.high) == (2.0**-18, 2.0**28)
    assert "|x| <= 2.68435e+08" in region.upper
    assert "|x| >= 3.8147e-06" in region.lower


def test_a_region_without_limits() -> None:
    region = envelope("x", "", 1.0, [point(2.0**k, 1, "exact") for k in range(9)], "faithful")
    assert region
    assert str(region) == "exact for every x that was tried"


def test_there_is_no_region_where_the_datas_own_magnitude_is_wrong() -> None:
    assert envelope("x", "", 4, [point(4, 1, "wrong"), point(8, 1, "wrong")], "faithful") is None


def test_a_wrong_point_next_to_the_datas_magnitude_is_the_limit() -> None:
    measured = [point(0.25, 1, "exact"), point(1, 1, "wrong")]
    assert (
        str(envelope("x", "", 0.3, measured, "faithful")) == "exact for |x| < 1 (beyond: too far)"
    )
    measured = [point(0.25, 1, "wrong"), point(1, 1, "exact")]
    assert (
        str(envelope("x", "", 0.3, measured, "faithful")) == "exact for |x| > 0.25 (below: too far)"
    )


def test_of_two_points_with_one_magnitude_the_wrong_one_counts() -> None:
    measured = [point(1, 1, "exact"), point(2, 1, "exact"), point(2, 1, "wrong")]
    region = envelope("x", "", 1, measured, "faithful")
    assert region
    assert region.high == 1


@given(st.integers(3, 27), st.integers(1, 1000), st.booleans())
def test_the_limit_lies_between_exact_and_wrong_points(
    power: int, factor: int, named: bool
) -> None:
    """For any factor, the region agrees with every point that was measured."""
    numbers = [2**k + 2**k * part // 8 | 1 for k in range(31) for part in range(8)]
    measured = [
        point(n, n * factor, "exact" if n * factor < 2**power else "wrong") for n in numbers
    ]
    region = envelope("x", "x * w" if named else "", 1, measured, "faithful")
    if region is None:
        assert factor >= 2**power
        return
    exact = [p.input for p in measured if p.verdict == "exact"]
    assert region.high == max(exact)
    if "x * w" in region.upper:
        assert f"|x * w| < 2^{power}" in region.upper


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "uint16", "int32"])
def test_points_span_the_dtype(dtype: str) -> None:
    rows = np.array([[1, 2], [3, 0], [5, 1]], dtype)
    sweep = points(rows, 1000)
    sizes = [magnitude(row) for row in sweep]
    info: Any = np.finfo(dtype) if rows.dtype.kind == "f" else np.iinfo(dtype)
    assert sweep.dtype == rows.dtype
    assert sweep.shape[1:] == (2,)
    assert sizes == sorted(sizes) or rows.dtype.kind == "f"
    assert max(sizes) > float(info.max) / 16
    assert min(sizes) <= (float(info.smallest_normal) if rows.dtype.kind == "f" else 0)


def test_large_rows_get_fewer_points() -> None:
    assert 4 <= len(points(np.ones((2, 300, 300, 3), np.float32), 4)) <= 8
    assert len(points(np.arange(6, dtype=np.float32).reshape(2, 3), 1000)) > 250
    assert (
        10
        < len(points(np.ones((1, 3), np.int64), 32))
        < len(points(np.ones((1, 3), np.int64), 1000))
    )


def test_zeros_and_booleans_have_no_points() -> None:
    assert not len(points(np.zeros((3, 2), np.float32), 9))
    assert not len(points(np.ones((3, 2), bool), 9))
