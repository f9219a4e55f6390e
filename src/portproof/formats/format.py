"""What the exporter needs to know of a format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from portproof.bundle.manifest import Budgets, Endpoint, folder_name, full_name

# A runtime's program that also holds its format must not import TensorFlow for it.
if TYPE_CHECKING:
    from portproof.formats.variant_budgets import ArithmeticOf
    from portproof.vectors.computing import TestedFunction


@dataclass(frozen=True)
class Written:
    """What a format wrote of a source.

    Attributes:
        endpoints: By signature, where the artifact has it.
        notes: What was done that a plain conversion does not do.
        budgets: By signature and output, the error that a variant declares. Those of a format with
            an `arithmetic` are measured later, with the test vectors.
        training_steps: Signatures that only this artifact has: training steps.
    """

    endpoints: dict[str, Endpoint]
    notes: tuple[str, ...] = ()
    budgets: Budgets = field(default_factory=dict)
    training_steps: tuple[TestedFunction, ...] = ()


@dataclass(frozen=True)
class Refusal:
    """Why a format was not written.

    Attributes:
        reason: The reason, in full where `ops` is empty.
        ops: The ops that the converter could not convert.
        is_told: Whether `reason` is a message of ours, which says what to do.
    """

    reason: str
    ops: tuple[str, ...] = ()
    is_told: bool = False


@dataclass(frozen=True)
class Format:
    """A kind of artifact. Formats are written in the order of the table, `savedmodel` first.

    Attributes:
        name: The format's name.
        write: `write(source, root, folder)` puts the artifact into `root/folder`. If the model
            cannot be written, it raises ExportError, and the format is left out of the bundle with
            that reason.
        of_saved_model: Whether it is made of the SavedModel in `root` alone. `write` then takes a
            SavedSource, and is run in a process beside the one that has the model, which must be
            able to import it.
        variant: An option that changes numbers and declares a budget of error for that.
        arithmetic: Of a variant, what computes it as it is specified: the error that it declares is
            measured so. None: `write` says what it declares.
        graph: For a format of weights alone, the folder of the artifact whose graph they belong to.
        of_keras: Whether it is made of a Keras form, which not every source has.
    """

    name: str
    write: Callable[[Any, Path, str], Written] = field(compare=False)
    variant: str = ""
    arithmetic: ArithmeticOf | None = field(default=None, compare=False)
    graph: str | None = None
    of_keras: bool = False
    of_saved_model: bool = False

    @property
    def full_name(self) -> str:
        return full_name(self.name, self.variant)

    @property
    def folder(self) -> str:
        return folder_name(self.full_name)
