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
from portproof.formats.format import Format, Written

if TYPE_CHECKING:
    from portproof.sources.source import SavedSource, Source

ENTRY_POINTS = "portproof.formats"
SAVEDMODEL = "savedmodel"


def _write(
    module: str, variant: str, source: Source | SavedSource, root: Path, folder: str
) -> Written:
    """Pass on to the format's own file, which is imported now."""
    write: Callable[..., Written] = import_module(f"portproof.formats.{module}").write
    return write(source, root, folder, variant) if variant else write(source, root, folder)


FORMATS: tuple[Format, ...] = (
    Format(SAVEDMODEL, partial(_write, "savedmodel", "")),
    Format("checkpoint", partial(_write, "checkpoint", ""), graph=SAVEDMODEL),
    Format("keras", partial(_write, "keras", ""), of_keras=True),
    Format("tflite", partial(_write, "tflite", ""), of_saved_model=True),
    *(
        Format("tflite", partial(_write, "tflite", variant), variant=variant, of_saved_model=True)
        for variant in ("float16", "dynamic-range", "int8")
    ),
    Format("onnx", partial(_write, "onnx", ""), of_saved_model=True),
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
            raise UsageError(f"there is no format {name!r}: they are {', '.join(names())}.")


def select(chosen: Sequence[str] | None = None) -> tuple[Format, ...]:
    """The formats of these full names, or all. `savedmodel` is always one of them.

    The others are made from it, and a diagnosis compares with it. Raises UsageError.
    """
    check_names(chosen)
    from_packages = [point.load() for point in entry_points(group=ENTRY_POINTS)]
    table = {format_.full_name: format_ for format_ in (*FORMATS, *_added, *from_packages)}
    return tuple(f for f in table.values() if not chosen or f.full_name in (*chosen, SAVEDMODEL))
