"""The metrics, and the rule that decides: properties of every pair of arrays."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from bundle.signature import DTYPES, TensorSpec
from verify.compare import compare, ulp_distance
from verify.verdict import decide, judge, worst

FLOATS = ("float16", "float32", "float64")
INTEGERS = sorted(name for name, dtype in DTYPES.items() if dtype.kind in "iu")


def pairs(names: tuple[str, ...] | list[str]) -> st.SearchStrategy[tuple[np.ndarray, np.ndarray]]:
    def both(name: str) -> st.SearchStrategy[tuple[np.ndarray, np.ndarray]]:
        array = npst.arrays(
            DTYPES[name], st.shared(npst.array_shapes(max_dims=2, max_side=4), key="s")
        )
        return st.tuples(array, array)

    return st.sampled_from(list(names)).flatmap(both)


@given(pairs([*FLOATS, *INTEGERS, "bool"]))
def test_exact_means_every_bit(pair: tuple[np.ndarray, np.ndarray]) -> None:
    got, reference = pair
    assert compare(got, got).bit_equal
    assert compare(got, reference).bit_equal == (got.tobytes() == reference.tobytes())


@given(pairs(INTEGERS))
def test_integers_pass_only_when_exact(pair: tuple[np.ndarray, np.ndarray]) -> None:
    got, reference = pair
    metrics = compare(got, reference)
    apart = max(abs(int(a) - int(b)) for a, b in zip(got.flat, reference.flat, strict=True))
    assert metrics.max_ulp == apart
    verdict, _ = decide(metrics, has_oracle=False)
    assert verdict == ("exact" if apart == 0 else "wrong")


@given(pairs(FLOATS))
def test_nan_and_infinities_must_be_where_they_are(pair: tuple[np.ndarray, np.ndarray]) -> None:
    got, reference = pair
    misplaced = any(
        not (math.isnan(a) and math.isnan(b))
        and a != b
        and not (math.isfinite(a) and math.isfinite(b))
        for a, b in zip(got.flat, reference.flat, strict=True)
    )
    metrics = compare(got, reference, reference.astype(np.float64))
    assert bool(metrics.misplaced) == misplaced
    if misplaced:
        assert decide(metrics, has_oracle=True)[0] == "wrong"


@given(
    st.floats(width=32, allow_nan=False, allow_infinity=False),
    st.integers(min_value=0, max_value=1000),
)
def test_ulp_distance_counts_steps(value: float, steps: int) -> None:
    start = other = np.float32(value)
    with np.errstate(over="ignore", under="ignore"):
        for _ in range(steps % 20):
            other = np.nextafter(other, np.float32(np.inf))
    if np.isfinite(other):
        # The two zeros are one value: a walk through them has one step more than the count.
        through_zero = start < 0 < other or (start == 0 and np.signbit(start) and other > 0)
        walked = steps % 20
        distance = int(ulp_distance(np.array([start]), np.array([other]))[0])
        assert distance in ({walked, walked - 1} if through_zero else {walked})


@given(
    st.lists(
        st.floats(-1e6, 1e6, width=32).filter(lambda x: x == 0 or abs(x) > 1e-6),
        min_size=1,
        max_size=8,
    )
)
def test_error_beyond_the_bound_is_wrong(values: list[float]) -> None:
    exact = np.array(values, np.float64)
    reference = exact.astype(np.float32)
    top = int(np.argmax(np.abs(reference)))
    unit = float(np.spacing(np.abs(reference[top])))
    for ulps, verdict in ((3, "faithful"), (5, "wrong")):
        got = reference.copy()
        got[top] += np.float32(math.copysign(ulps * unit, -reference[top]) or ulps * unit)
        shift = Fraction(float(got[top])) - Fraction(float(reference[top]))
        if abs(shift) != Fraction(ulps * unit):
            continue  # the step crossed into another binade and was rounded
        assert decide(compare(got, reference, exact), has_oracle=True)[0] == verdict


def test_first_difference_is_named() -> None:
    reference = np.array([[1, np.nan], [np.inf, 2]], np.float32)
    got = np.array([[1, 3], [np.inf, np.nan]], np.float32)
    assert compare(got, reference).misplaced == "3.0 where the reference has nan at [0, 1]"


SPEC = TensorSpec(dtype="float32", shape=(None,))


@pytest.mark.parametrize(
    "got",
    [None, np.zeros(3, np.float32), np.zeros((2, 1), np.float32), np.zeros(2, np.float64)],
)
def test_missing_or_of_another_kind_is_wrong(got: np.ndarray | None) -> None:
    reference = np.zeros(2, np.float32)
    assert judge(got, SPEC, reference, np.zeros(2))[0] == "wrong"


def test_float_output_without_oracle_is_no_pass() -> None:
    zeros = np.zeros(2, np.float32)
    assert judge(zeros, SPEC, zeros, None)[0] == "failed"


def test_signed_zero_is_not_exact() -> None:
    negative = np.array([-0.0], np.float32)
    assert decide(compare(negative, -negative, np.zeros(1)), has_oracle=True)[0] == "faithful"


def test_error_ratio_is_ours_over_theirs() -> None:
    oracle = np.array([1.0])
    reference = np.array([1 + 2**-23], np.float32)
    got = np.array([1 + 2**-22], np.float32)
    assert compare(got, reference, oracle).error_ratio == 2


def test_worst_is_the_worst() -> None:
    assert worst(["exact", "wrong", "faithful"]) == "wrong"


@pytest.mark.parametrize("beyond", [np.nan, np.inf])
def test_where_the_oracle_is_not_finite_only_the_references_value_will_do(beyond: float) -> None:
    reference = np.array([1.0, 2.0], np.float32)
    oracle = np.array([beyond, 2.0])
    near = np.array([1.0, np.nextafter(np.float32(2), np.float32(3))], np.float32)
    assert decide(compare(near, reference, oracle), has_oracle=True)[0] == "faithful"
    far = np.array([500.0, 2.0], np.float32)
    assert decide(compare(far, reference, oracle), has_oracle=True)[0] == "wrong"


def test_an_oracle_of_another_shape_is_no_oracle() -> None:
    zeros = np.zeros(3, np.float32)
    with pytest.raises(ValueError, match=r"float64\[1\]"):
        compare(zeros, zeros, np.zeros(1))


def test_rows_without_elements_are_no_samples() -> None:
    assert compare(np.zeros((7, 0), np.float32), np.zeros((7, 0), np.float32)).samples == 0
