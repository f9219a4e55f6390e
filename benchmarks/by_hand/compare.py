"""Two arrays of ROWS of 1000 numbers compared, beside numpy.testing.assert_allclose, the floor."""

import sys
import timeit

import numpy as np

from portproof.comparing.arrays import Expected, compare


def main(rows: int) -> None:
    rng = np.random.default_rng(0)
    oracle = rng.standard_normal((rows, 1000))
    reference = oracle.astype(np.float32)
    got = np.nextafter(reference, np.float32(9))
    bound = np.full_like(reference, 1e-6)
    expected = Expected(reference, oracle, bound)
    floor = min(
        timeit.repeat(lambda: np.testing.assert_allclose(got, reference, 1e-4), number=1, repeat=5)
    )
    ours = min(timeit.repeat(lambda: compare(got, expected), number=1, repeat=5))
    print(floor, ours)


if __name__ == "__main__":
    main(int(sys.argv[1]))
