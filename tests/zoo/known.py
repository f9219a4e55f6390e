"""Limits of runtimes that the zoo runs into, by what they say."""

import re

from verify.report import Cell

# Runtimes, what the cell's detail says, and what is behind it.
KNOWN: tuple[tuple[str, str, str], ...] = ()


def explanation(cell: Cell) -> str:
    """Why a cell did not pass, where that is a known limit of its runtime; else nothing."""
    for runtimes, said, why in KNOWN:
        if re.fullmatch(runtimes, cell.runtime) and (match := re.search(said, cell.detail)):
            return match.expand(why)
    return ""
