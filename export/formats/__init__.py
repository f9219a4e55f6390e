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
from typing import TYPE_CHECKING, Any

from bundle.errors import UsageError
from bundle.manifest import full_name

if TYPE_CHECKING:
    from export.formats.format import Format, Written
    from export.source import Source

ENTRY_POINTS = "portproof.formats"
SAVEDMODEL = "savedmodel"

_ROWS: tuple[tuple[str, dict[str, Any]], ...] = (
    (SAVEDMODEL, {}),
    ("checkpoint", {"graph": SAVEDMODEL}),
    ("keras", {"of_keras": True}),
    ("tflite", {}),
    ("tflite", {"variant": "float16"}),
    ("tflite", {"variant": "dynamic-range"}),
    ("tflite", {"variant": "int8"}),
    ("tfjs-graph", {}),
    ("tfjs-layers", {"of_keras": True}),
)
_added: list[Format] = []


def add(format_: Format) -> None:
    """Let `portproof.export` write a format of one's own too."""
    _added[:] = [*(f for f in _added if f.full_name != format_.full_name), format_]


def names() -> list[str]:
    """Every format and variant by its full name."""
    own = [full_name(name, rest.get("variant", "")) for name, rest in _ROWS]
    found = [point.name for point in entry_points(group=ENTRY_POINTS)]
    return list(dict.fromkeys([*own, *(f.full_name for f in _added), *found]))


def check(chosen: Sequence[str] | None) -> None:
    """Raises UsageError where one is no format's name."""
    for name in chosen or ():
        if name not in names():
            raise UsageError(f"there is no format {name!r}: they are {', '.join(names())}.")


def select(chosen: Sequence[str] | None = None) -> tuple[Format, ...]:
    """The formats of these full names, or all. `savedmodel` is always one of them.

    The others are made from it, and a diagnosis compares with it. Raises UsageError.
    """
    check(chosen)
    return tuple(f for f in _table() if not chosen or f.full_name in (*chosen, SAVEDMODEL))


def _table() -> list[Format]:
    from export.formats.format import Format

    table = [
        Format(name, partial(_write, name, rest.get("variant")), **rest) for name, rest in _ROWS
    ]
    added = [*_added, *(point.load() for point in entry_points(group=ENTRY_POINTS))]
    return list({format_.full_name: format_ for format_ in (*table, *added)}.values())


def _write(name: str, variant: str | None, source: Source, root: Path, folder: str) -> Written:
    """Hand on to the format's own file, which is imported now."""
    module = import_module(f"export.formats.{name.replace('-', '_')}")
    write: Callable[..., Written] = module.write
    return write(source, root, folder, variant) if variant else write(source, root, folder)
