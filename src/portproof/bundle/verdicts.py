"""The words for how near an artifact's numbers are to the model's."""

from collections.abc import Sequence
from typing import Literal

Verdict = Literal["exact", "faithful", "close", "unsupported", "wrong", "failed", "absent"]

# From best to worst; `absent` is no grade.
GRADES: tuple[Verdict, ...] = ("exact", "faithful", "close", "unsupported", "wrong", "failed")
PASSING: frozenset[Verdict] = frozenset({"exact", "faithful", "close"})

# An output that rounding may move by more than this share of its size is ill-conditioned: its
# digits depend on the order of sums, in the original as anywhere.
ILL_CONDITIONED = 1e-3


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """The worst of at least one verdict, none of them `absent`."""
    return max(verdicts, key=GRADES.index)
