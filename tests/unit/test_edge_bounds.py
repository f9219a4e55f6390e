"""The bound of what only gets reported: from the reference's own error."""

import numpy as np

from portproof.vectors.edge_bounds import EDGE_FACTOR, edge_bound


def test_it_is_some_times_the_largest_error_of_the_row() -> None:
    exact = np.array([[1.0, 2.0], [100.0, 200.0]])
    reference = (exact + np.array([[0.0, 1e-3], [0.0, 0.0]])).astype(np.float32)
    bound = edge_bound(reference, exact, by_row=True)
    assert bound.shape == exact.shape
    np.testing.assert_allclose(bound[0], EDGE_FACTOR * 1e-3, rtol=1e-3)
    # At least units in the last place of the row's largest value.
    np.testing.assert_allclose(bound[1], EDGE_FACTOR * np.spacing(np.float32(200)), rtol=1e-6)


def test_what_is_not_finite_has_no_part_in_it() -> None:
    exact = np.array([[np.inf, 1.0, np.nan]])
    bound = edge_bound(exact.astype(np.float32), exact, by_row=True)
    assert np.isfinite(bound).all()
    np.testing.assert_allclose(bound, EDGE_FACTOR * np.spacing(np.float32(1)), rtol=1e-6)


def test_an_output_without_rows_or_elements() -> None:
    assert edge_bound(np.array(2.0, np.float32), np.array(2.0), by_row=True).shape == ()
    assert edge_bound(np.zeros((0, 3), np.float32), np.zeros((0, 3)), by_row=True).shape == (0, 3)
