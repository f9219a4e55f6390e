"""What a person found out about numbers that are wrong in the conformance run."""

import re

from portproof.bundle.report import Cell

# Three strings each: a pattern of runtimes, one to find in `MODEL FORMAT: DETAIL`, the explanation.
EXPLAINED: tuple[tuple[str, str, str], ...] = ()


def explanation(cell: Cell) -> str:
    """Why a cell is rightly wrong or failed, or nothing."""
    text = f"{cell.model} {cell.full_format}: {cell.detail}"
    for runtimes, pattern, told in EXPLAINED:
        if re.fullmatch(runtimes, cell.runtime) and re.search(pattern, text):
            return told
    return ""
