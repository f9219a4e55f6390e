"""How near two runtimes have to be that compute one file, of which nobody has the original.

No bound can be derived without the original's graph in float64, so these are fixed beforehand.
"""

from collections.abc import Iterable

import numpy as np

from portproof.bundle.float_format import Array
from portproof.bundle.manifest import Budget
from portproof.comparing.floors import floor_of

# Of a plain file, how far the error is below the output's own size on average, in dB: half of
# float32's 24 bits, of 6.02 dB each. Variants have their floors.
PLAIN_SQNR = 72.0
# How many times the allowed mean error any one element may be off: 4 bits.
LARGEST = 16.0


def allowed_mean(arrays: Iterable[Array], variant: str) -> float:
    """The mean error that is allowed of an output, or of a tensor inside.

    Args:
        arrays: What a runtime gave for it, in one case or in several.
        variant: The file's variant.

    Returns:
        So far below the root mean square of its finite numbers; 0 where all are 0.
    """
    squares, number = 0.0, 0
    for array in arrays:
        finite = array[np.isfinite(array)].astype(np.float64)
        squares, number = squares + float((finite**2).sum()), number + finite.size
    size = (squares / max(number, 1)) ** 0.5
    below = floor_of(variant).sqnr if variant else PLAIN_SQNR
    return float(size * 10 ** (-below / 20)) if np.isfinite(size) else 0.0


def budget_between(arrays: Iterable[Array], variant: str) -> Budget | None:
    """What is allowed of an output, as its file's budget; None: it has to be the same bits."""
    step = allowed_mean(arrays, variant)
    return Budget(step=step, lsb=LARGEST, mean_lsb=1.0) if step else None
