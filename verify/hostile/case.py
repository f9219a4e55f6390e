"""One hostile input, and what must come of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from verify.hostile.draft import Bases

# Makes the input in a folder, and gives the arguments of `portproof`.
Build = Callable[[Path, Bases], list[str]]


@dataclass(frozen=True)
class Hostile:
    """A hostile input.

    Attributes:
        group: What kind of input it is.
        name: Its name in the group.
        build: Makes it.
        status: The exit statuses that are right.
        says: A pattern that the last lines of the output must have: the reason.
    """

    group: str
    name: str
    build: Build
    status: tuple[int, ...] = (1,)
    says: str = ""
