"""Metrics of two arrays and the verdict from them, as properties of any pair of arrays."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from portproof.bundle.float_format import spacing, ulp_distance
from portproof.bundle.manifest import Budget
from portproof.bundle.signature import DTYPES, TensorSpec
from portproof.bundle.verdicts import worst
from portproof.comparing import arrays as compare_module
from portproof.comparing.arrays import Expected, compare
from portproof.comparing.judging import Allowance, decide, judge
from portproof.comparing.metrics import merged

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
def test_exact_means_equal_bits(pair: tuple[np.ndarray, np.ndarray]) -> None:
    got, reference = pair
    assert compare(got, Expected(got)).bit_equal
    assert compare(got, Expected(reference)).bit_equal == (got.tobytes() == reference.tobytes())


@given(pairs(INTEGERS))
def test_integers_pass_only_when_exact(pair: tuple[np.ndarray, np.ndarray]) -> None:
    got, reference = pair
    metrics = compare(got, Expected(reference))
    difference = max(abs(int(a) - int(b)) for a, b in zip(got.flat, reference.flat, strict=True))
    assert metrics.max_ulp == difference
    verdict, _ = decide(metrics)
    assert verdict == ("exact" if difference == 0 else "wrong")


@given(pairs(FLOATS))
def test_nan_and_infinities_must_be_where_the_reference_has_them(
    pair: tuple[np.ndarray, np.ndarray],
) -> None:
    got, reference = pair
    misplaced = any(
        not (math.isnan(a) and math.isnan(b))
        and a != b
        and not (math.isfinite(a) and math.isfinite(b))
        for a, b in zip(got.flat, reference.flat, strict=True)
    )
    metrics = compare(got, strict(reference))
    assert bool(metrics.misplaced) == misplaced
    if misplaced:
        assert decide(metrics)[0] == "wrong"


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
        # -0 and 0 count as one value: a walk through both has one step more than the distance.
        through_zero = start < 0 < other or (start == 0 and np.signbit(start) and other > 0)
        walked = steps % 20
        distance = int(ulp_distance(np.array([start]), np.array([other]))[0])
        assert distance in ({walked, walked - 1} if through_zero else {walked})


FINITE = st.floats(-(2.0**100), 2.0**100, width=32).filter(lambda x: x == 0 or abs(x) > 2e-38)


@given(
    npst.arrays(np.float32, npst.array_shapes(max_dims=2, max_side=5), elements=FINITE),
    st.data(),
)
def test_each_element_is_judged_by_its_own_bound(
    reference: np.ndarray, data: st.DataObject
) -> None:
    """Just within its bound an element is faithful, just beyond it wrong, for any other values."""
    exact = reference.astype(np.float64)
    index = data.draw(st.tuples(*(st.integers(0, n - 1) for n in reference.shape)))
    rounding = np.abs(reference) * np.float32(2**-10)
    unit = spacing(exact, reference.dtype)[index]
    bound = max(float(rounding[index]), unit)
    for share, verdicts in ((0.9, {"exact", "faithful"}), (1.1, {"wrong"})):
        got = reference.copy()
        got[index] = np.float32(exact[index] + share * bound)
        error = abs(float(got[index]) - exact[index])
        if (error <= bound) == (share < 1):  # not rounded across the bound
            assert decide(compare(got, Expected(reference, exact, rounding)))[0] in verdicts


def test_small_outputs_beside_huge_ones_are_judged() -> None:
    reference = np.array([[1e30, 1e-3], [2e30, 2e-3]], np.float32)
    zeroed = reference * np.array([1, 0], np.float32)
    assert decide(compare(zeroed, strict(reference)))[0] == "wrong"


def test_an_output_as_near_the_oracle_as_the_reference_is_faithful() -> None:
    oracle, reference = np.array([1.0]), np.array([1 + 2**-18], np.float32)
    expected = Expected(reference, oracle, np.zeros(1, np.float32))
    for error, verdict in ((2**-18 + 2**-23, "faithful"), (2**-18 + 2**-22, "wrong")):
        got = np.array([1 - error], np.float32)
        assert decide(compare(got, expected))[0] == verdict


@given(npst.arrays(np.float32, st.integers(1, 200), elements=FINITE), st.integers(1, 64))
def test_the_chunk_size_does_not_change_the_metrics(reference: np.ndarray, chunk: int) -> None:
    got = reference + np.linspace(-1, 1, len(reference), dtype=np.float32)
    shape = (-1, 2) if len(reference) % 2 == 0 else (-1,)
    got, reference = got.reshape(shape), reference.reshape(shape)
    whole = compare(got, strict(reference))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compare_module, "CHUNK", chunk)
        parts = compare(got, strict(reference))
    for name, value in vars(whole).items():
        other = getattr(parts, name)
        if isinstance(value, float):
            assert other == pytest.approx(value, rel=1e-9, abs=1e-300), name
        elif name != "worst":
            assert other == value, name


@given(pairs(FLOATS))
def test_metrics_equal_those_computed_with_numpy(pair: tuple[np.ndarray, np.ndarray]) -> None:
    got, reference = (np.nan_to_num(a, nan=1, posinf=2, neginf=3).astype(a.dtype) for a in pair)
    got, reference = np.clip(got, -6e4, 6e4), np.clip(reference, -6e4, 6e4)
    metrics = compare(got, Expected(reference))
    got64, reference64 = got.astype(np.float64), reference.astype(np.float64)
    difference = np.abs(got64 - reference64)
    assert metrics.max_abs == difference.max()
    assert metrics.mean_abs == pytest.approx(difference.mean())
    assert metrics.noise == pytest.approx((difference**2).sum())
    assert metrics.row_mean_abs >= metrics.mean_abs * (1 - 1e-12)
    assert metrics.row_sqnr <= metrics.sqnr + 10 * math.log10(2) + 1e-9  # of which row_signals says
    if difference.max():
        assert metrics.worst
        assert difference[metrics.worst.index] == pytest.approx(difference.max())


def test_a_row_near_zero_is_held_to_the_size_of_the_others() -> None:
    reference = np.array([[1], [-1], [1], [1e-4]], np.float32)
    got = reference + np.float32(1e-3)
    assert compare(got, strict(reference)).row_sqnr == pytest.approx(58.75, abs=0.1)
    # One number of a row is what counts, so that a small row of many is still held to itself.
    wide = np.repeat(reference, 1000, axis=1)
    wide[3] = 0.1
    assert compare(wide + np.float32(0.01), strict(wide)).row_sqnr == pytest.approx(20, abs=0.1)


def test_the_worst_row_is_reported_beside_the_mean() -> None:
    reference = np.ones((1000, 4), np.float32)
    got = reference.copy()
    got[57] = 0
    metrics = compare(got, strict(reference))
    assert metrics.sqnr == pytest.approx(30)
    assert metrics.row_sqnr == pytest.approx(0)
    assert metrics.row_cosine == 0
    assert metrics.row_mean_abs == 1
    assert metrics.equal == 3996


def test_merged_metrics_keep_the_worst_case() -> None:
    ones = np.ones(4, np.float32)
    near, far = compare(ones, strict(ones)), compare(ones * 2, strict(ones))
    both = merged([near, far])
    assert (both.samples, both.equal, both.max_abs) == (8, 4, 1)
    assert both.bound_ratio == far.bound_ratio
    assert both.worst == far.worst
    assert both.mean_abs == 0.5


def test_a_flushed_denormal_is_reported() -> None:
    reference = np.array([1e-40, 1.0], np.float32)
    got = np.array([0.0, 1.0], np.float32)
    assert decide(compare(got, strict(reference))) == ("close", "1 denormals flushed to zero")
    assert decide(compare(np.array([0.0, 2.0], np.float32), strict(reference)))[0] == "wrong"
    # Small, but a normal number.
    reference[0] = 1e-37
    assert decide(compare(got, strict(reference)))[0] == "wrong"


def test_shader_precision_is_allowed_for_shaders_only() -> None:
    reference = np.array([1.0], np.float32)
    expected = Expected(
        reference, np.ones(1), np.full(1, 1e-7, np.float32), np.full(1, 1e-5, np.float32)
    )
    metrics = compare(np.array([1.000005], np.float32), expected)
    assert decide(metrics)[0] == "wrong"
    shader = Allowance(shader_ops=("Tanh",))
    assert decide(metrics, shader) == ("close", "within what shaders promise of Tanh")
    assert decide(compare(np.array([1.00005], np.float32), expected), shader)[0] == "wrong"


@pytest.mark.parametrize(
    ("budget", "error", "verdict"),
    [
        (Budget(step=0.1, lsb=1.5), [0.1, 0, 0, 0], "close"),
        (Budget(step=0.1, lsb=1.5), [0.2, 0, 0, 0], "wrong"),
        (Budget(step=0.1, lsb=1.5, mean_lsb=0.5), [0.1, 0, 0, 0], "close"),
        (Budget(step=0.1, lsb=1.5, mean_lsb=0.5), [0.1, 0.1, 0.1, 0.1], "wrong"),
        (Budget(sqnr=30), [0.01, 0.01, 0.01, 0.01], "close"),
        (Budget(sqnr=30), [0.1, 0.1, 0.1, 0.1], "wrong"),
    ],
)
def test_a_variant_is_judged_by_its_budget(
    budget: Budget, error: list[float], verdict: str
) -> None:
    reference = np.ones((1, 4), np.float32)
    got = reference + np.array([error], np.float32)
    result, reason = decide(compare(got, strict(reference)), Allowance(budget))
    assert result == verdict
    assert reason


def test_lsbs_are_counted_from_the_variants_own_outputs() -> None:
    reference = np.ones((1, 4), np.float32)
    variant = reference + np.float32(0.3)
    spec = TensorSpec(dtype="float32", shape=(None, 4))
    expected = replace(strict(reference), variant=variant)
    allowance = Allowance(Budget(step=0.1, lsb=1.5, sqnr=5))
    assert judge(variant + np.float32(0.1), spec, expected, allowance)[0] == "close"
    assert judge(variant - np.float32(0.2), spec, expected, allowance)[0] == "wrong"


@pytest.mark.parametrize("bound", [np.nan, np.inf, -1.0])
def test_an_invalid_bound_is_an_error(bound: float) -> None:
    ones = np.ones(2, np.float32)
    with pytest.raises(ValueError, match="a bound is"):
        compare(ones * 2, Expected(ones, np.ones(2), np.array([bound, 1.0], np.float32)))


def test_a_large_mean_error_is_wrong_though_each_element_is_within_its_bound() -> None:
    reference = np.linspace(1, 2, 1000, dtype=np.float32)
    expected = replace(strict(reference), rounding=np.full(1000, 1e-4, np.float32))
    errors = np.where(np.arange(1000) % 20 == 0, 8e-5, 1e-5).astype(np.float32)
    assert decide(compare(reference + errors, expected))[0] == "faithful"
    verdict, reason = decide(compare(reference + np.float32(5e-5), expected))
    assert verdict == "wrong"
    assert "on average" in reason

    # The mean of few elements may be large by chance, so it is not judged.
    one_row = expected.rows(slice(1))
    assert decide(compare(reference[:1] + np.float32(5e-5), one_row))[0] == "faithful"


def test_a_mean_error_as_large_as_the_references_is_faithful() -> None:
    oracle = np.ones(1000)
    expected = Expected((oracle + 5e-6).astype(np.float32), oracle, np.full(1000, 1e-5, np.float32))
    near = (oracle - 5e-6).astype(np.float32)
    verdict, _, _ = judge(near, SPEC, expected)
    assert verdict == "faithful"
    far = (oracle - 1.2e-5).astype(np.float32)
    verdict, reason, _ = judge(far, SPEC, expected)
    assert verdict == "wrong"
    assert "on average" in reason


def test_a_budget_without_a_limit_is_an_error() -> None:
    with pytest.raises(ValueError, match="a budget is"):
        Budget(step=0.1)


def strict(reference: np.ndarray) -> Expected:
    """An expectation that allows one unit in the last place and no more."""
    return Expected(reference, reference.astype(np.float64), np.zeros(reference.shape, np.float32))


def test_the_first_misplaced_value_is_reported() -> None:
    reference = np.array([[1, np.nan], [np.inf, 2]], np.float32)
    got = np.array([[1, 3], [np.inf, np.nan]], np.float32)
    assert (
        compare(got, Expected(reference)).misplaced == "3.0 where the reference has nan at [0, 1]"
    )


SPEC = TensorSpec(dtype="float32", shape=(None,))


@pytest.mark.parametrize(
    "got",
    [None, np.zeros(3, np.float32), np.zeros((2, 1), np.float32), np.zeros(2, np.float64)],
)
def test_a_missing_output_or_another_shape_or_dtype_is_wrong(got: np.ndarray | None) -> None:
    reference = np.zeros(2, np.float32)
    assert judge(got, SPEC, Expected(reference, np.zeros(2), np.zeros(2)))[0] == "wrong"


def test_a_float_output_without_an_oracle_fails() -> None:
    zeros = np.zeros(2, np.float32)
    assert judge(zeros, SPEC, Expected(zeros))[0] == "failed"


def test_a_zero_of_the_other_sign_is_not_exact() -> None:
    negative = np.array([-0.0], np.float32)
    assert decide(compare(negative, strict(-negative)))[0] == "faithful"


def test_error_ratio_is_the_outputs_error_over_the_references() -> None:
    oracle = np.array([1.0])
    reference = np.array([1 + 2**-23], np.float32)
    got = np.array([1 + 2**-22], np.float32)
    assert compare(got, Expected(reference, oracle)).error_ratio == 2


def test_worst_returns_the_worst_verdict() -> None:
    assert worst(["exact", "wrong", "faithful"]) == "wrong"


@pytest.mark.parametrize("not_finite", [np.nan, np.inf])
def test_where_the_oracle_is_not_finite_only_the_references_value_passes(not_finite: float) -> None:
    reference = np.array([1.0, 2.0], np.float32)
    oracle, zeros = np.array([not_finite, 2.0]), np.zeros(2, np.float32)
    near = np.array([1.0, np.nextafter(np.float32(2), np.float32(3))], np.float32)
    assert decide(compare(near, Expected(reference, oracle, zeros)))[0] == "faithful"
    far = np.array([500.0, 2.0], np.float32)
    assert decide(compare(far, Expected(reference, oracle, zeros)))[0] == "wrong"


def test_an_oracle_of_another_shape_is_an_error() -> None:
    zeros = np.zeros(3, np.float32)
    with pytest.raises(ValueError, match=r"float64\[1\]"):
        compare(zeros, Expected(zeros, np.zeros(1)))


def test_rows_without_elements_are_not_counted_as_samples() -> None:
    assert (
        compare(np.zeros((7, 0), np.float32), Expected(np.zeros((7, 0), np.float32))).samples == 0
    )
