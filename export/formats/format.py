"""What the rest of `export` needs to know of a format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bundle.manifest import Budget, Endpoint, folder_name, full_name

if TYPE_CHECKING:  # a runtime's program that also holds its format must not pay for TensorFlow
    from export.source import Source


@dataclass(frozen=True)
class Written:
    """Where an artifact has its signatures, and what was done that a plain conversion does not.

    `budgets`, by signature and output, are what a variant declares of itself; those of TFLite's are
    measured later (budgets.py).
    """

    endpoints: dict[str, Endpoint]
    notes: tuple[str, ...] = ()
    budgets: dict[str, dict[str, Budget]] = field(default_factory=dict)


@dataclass(frozen=True)
class Format:
    """`write(source, root, folder)` puts the artifact into `root/folder`.

    What it needs and cannot do ends in an ExportError, and the format is left out of the bundle
    with that reason. `of_keras` formats are made of a Keras form, which not every source has.
    A `variant` changes numbers, and declares a budget of error for that (see budgets.py);
    `graph` is the folder of the artifact whose graph a format's weights belong to.
    Formats are written in the order of the table; `root/savedmodel` is there before all others.
    """

    name: str
    write: Callable[[Source, Path, str], Written] = field(compare=False)
    variant: str = ""
    graph: str | None = None
    of_keras: bool = False

    @property
    def full_name(self) -> str:
        return full_name(self.name, self.variant)

    @property
    def folder(self) -> str:
        return folder_name(self.full_name)
