"""What a variant must keep, and what is the same decision."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portproof.comparing.arrays import Expected, compare
from portproof.comparing.decisions import count_decisions, count_right, has_scores
from portproof.comparing.floors import FLOORS, Floor, below_floor, floor_of

ONE_HOT = np.eye(4, dtype=np.float32)


@given(st.integers(1, 40), st.integers(2, 9), st.floats(1e-3, 1e3))
def test_the_same_scores_decide_alike(rows: int, classes: int, size: float) -> None:
    scores = size * np.random.default_rng(rows).standard_normal((rows, classes))
    decided, same = count_decisions(scores, scores, 0.0)
    assert decided == same == rows


def test_level_scores_decide_nothing() -> None:
    level = np.full((8, 5), 0.2)
    assert count_decisions(1 - level, level, 0.1) == (0, 0.0)


def test_all_zeros_are_a_guess_and_no_decision() -> None:
    assert count_decisions(np.zeros((4, 4)), ONE_HOT, 0.4) == (4, 1.0)


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("y", ONE_HOT, True),
        ("y", 2 * ONE_HOT, False),
        ("logits", 2 * ONE_HOT, True),
        ("y", np.ones((4, 1), np.float32), False),
        ("logits", ONE_HOT.astype(np.int32), False),
        ("y", np.zeros((0, 4), np.float32), False),
    ],
)
def test_what_is_a_distribution_or_scores(name: str, values: np.ndarray, expected: bool) -> None:
    assert has_scores(name, values) is expected


@pytest.mark.parametrize(
    ("scores", "labels", "right"),
    [
        (ONE_HOT, [0, 1, 2, 0], 3),
        (np.array([[0.9], [0.2], [0.6]], np.float32), [1, 0, 0], 2),
        (np.array([2, 1, 0], np.int32), [2, 1, 1], 2),
    ],
)
def test_rows_that_get_their_label(scores: np.ndarray, labels: list[int], right: int) -> None:
    assert count_right(scores, np.array(labels)) == right


@pytest.mark.parametrize("variant", FLOORS)
def test_noise_beyond_the_floor_is_no_more_the_model(variant: str) -> None:
    floor = floor_of(variant)
    reference = np.random.default_rng(1).standard_normal((50, 20)).astype(np.float32)
    noise = np.random.default_rng(2).standard_normal(reference.shape)
    for factor, good in ((0.8, True), (1.25, False)):
        got = (reference + factor * floor.noise * noise).astype(np.float32)
        reason = below_floor(compare(got, Expected(reference)), floor, variant, None)
        assert (reason == "") is good, reason


def test_one_row_may_always_differ() -> None:
    metrics = compare(ONE_HOT, Expected(ONE_HOT))
    from dataclasses import replace

    floor = Floor(sqnr=0.0, same_largest=1.0)
    assert not below_floor(replace(metrics, decided=4, same=3.0), floor, "int8", None)
    assert "2 of 4 rows" in below_floor(replace(metrics, decided=4, same=2.0), floor, "int8", None)
