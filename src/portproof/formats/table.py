"""The table of formats. A new format is one file beside this one and a row here.

Formats from elsewhere are added by `add`, or by an entry point in the group `portproof.formats`
that names a Format. Nothing here imports TensorFlow: a format's file does when it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from portproof.bundle.errors import UsageError
from portproof.bundle.text import choices
from portproof.formats.format import Format, Written

if TYPE_CHECKING:
    from portproof.bundle.manifest import Artifact
    from portproof.formats.variant_budgets import Arithmetic, MeasuredOn
    from portproof.sources.source import SavedSource, Source

ENTRY_POINTS = "portproof.formats"
SAVEDMODEL = "savedmodel"


def _write(
    module: str, variant: str, source: Source | SavedSource, root: Path, folder: str
) -> Written:
    """Pass on to the format's own file, which is imported now."""
    write: Callable[..., Written] = import_module(f"portproof.formats.{module}").write
    return write(source, root, folder, variant) if variant else write(source, root, folder)


def _arithmetic(module: str, artifact: Artifact, signature: str, on: MeasuredOn) -> Arithmetic:
    """As `_write`, of a variant."""
    made: Callable[..., Arithmetic] = import_module(f"portproof.formats.{module}").arithmetic
    return made(artifact, signature, on)


def _variant(name: str, variant: str, arithmetic: str) -> Format:
    """A variant of a format, and the file that says what it computes."""
    return Format(
        name,
        partial(_write, name, variant),
        variant=variant,
        arithmetic=partial(_arithmetic, arithmetic),
        of_saved_model=True,
    )


FORMATS: tuple[Format, ...] = (
    Format(SAVEDMODEL, partial(_write, "savedmodel", "")),
    Format("checkpoint", partial(_write, "checkpoint", ""), graph=SAVEDMODEL),
    Format("keras", partial(_write, "keras", ""), of_keras=True),
    Format("tflite", partial(_write, "tflite", ""), of_saved_model=True),
    _variant("tflite", "float16", "tflite_arithmetic"),
    _variant("tflite", "dynamic-range", "tflite_arithmetic"),
    _variant("tflite", "int8", "tflite_arithmetic"),
    Format("onnx", partial(_write, "onnx", ""), of_saved_model=True),
    _variant("onnx", "float16", "onnx_variants"),
    _variant("onnx", "int8", "onnx_variants"),
    Format("tfjs-graph", partial(_write, "tfjs_graph", ""), of_saved_model=True),
    Format("tfjs-layers", partial(_write, "tfjs_layers", ""), of_keras=True),
)
_added: list[Format] = []


def add(format_: Format) -> None:
    """Add a format of one's own to this process's table."""
    _added[:] = [*(f for f in _added if f.full_name != format_.full_name), format_]


def names() -> list[str]:
    """Every format and variant by its full name."""
    known = [format_.full_name for format_ in (*FORMATS, *_added)]
    from_packages = [point.name for point in entry_points(group=ENTRY_POINTS)]
    return list(dict.fromkeys([*known, *from_packages]))


def check_names(chosen: Sequence[str] | None) -> None:
    """Raises UsageError where one is no format's name."""
    for name in chosen or ():
        if name not in names():
            raise UsageError(f"there is no format {name!r}: {choices(name, names())}")


def select(chosen: Sequence[str] | None = None) -> tuple[Format, ...]:
    """The formats of these full names, or all. `savedmodel` is always one of them.

    The others are made from it, and a diagnosis compares with it. Raises UsageError.
    """
    check_names(chosen)
    from_packages = [point.load() for point in entry_points(group=ENTRY_POINTS)]
    table = {format_.full_name: format_ for format_ in (*FORMATS, *_added, *from_packages)}
    return tuple(f for f in table.values() if not chosen or f.full_name in (*chosen, SAVEDMODEL))
