"""The first `portproof.toml` of a folder: a table for each model that is there."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from portproof.bundle import atomic
from portproof.bundle.bundle import MANIFEST
from portproof.bundle.errors import UsageError
from portproof.project import FILE, find_project
from portproof.runtimes.table import table

_DEPTH = 3  # folders below this one in which models are looked for
_MAX_MODELS = 20
_HEAD = """\
# Where the models of this project come from and where they go. `portproof export` and
# `portproof verify` without arguments do what it says, where something has changed.

# The runtimes that every model ships to: each has to be proven, and the others only inform.
# Here are: {runtimes}
targets = []

# What a variant must keep of the model (these are the defaults).
# [floors.int8]
# sqnr = 7.0            # dB, over a whole output
# same_largest = 0.8    # share of rows with the same largest element
# accuracy_loss = 0.01  # of the labelled rows; not limited by default
"""
_EXAMPLE = """
# A model: a .keras file, a SavedModel folder, or a function that returns one.
# [models.my_model]
# source = "package.module:function"
# inputs = "data.npz"                   # some of its own data, by input name
# labels = { probabilities = "y.npy" }  # the right class of each row
# formats = ["tflite", "tflite int8"]   # all, without this line
# targets = ["litert", "tfjs-chromium-webgl"]
# publish = "s3://bucket/models"
"""


def write_project(folder: Path) -> tuple[Path, list[str]]:
    """Write `portproof.toml`. Returns its path and the names of the models that were found.

    Raises UsageError where the folder, or one above it, has one already.
    """
    if project := find_project(folder):
        raise UsageError(f"{project.file} is there already: edit it.")
    models = dict(_found(folder))
    runtimes = ", ".join(runtime.name for runtime in table() if not runtime.missing())
    text = _HEAD.format(runtimes=runtimes or "none yet; see `portproof setup`")
    text += "".join(_table(name, path, folder) for name, path in models.items()) or _EXAMPLE
    path = folder / FILE
    atomic.write_text(path, text)
    return path, list(models)


def _found(folder: Path) -> Iterator[tuple[str, Path]]:
    """Models by name, but for those inside bundles, hidden folders and installed packages."""
    names: set[str] = set()
    for path in _paths(folder, _DEPTH):
        name = re.sub(r"\W+", "_", path.stem)
        if name not in names and len(names) < _MAX_MODELS:
            names.add(name)
            yield name, path


def _paths(folder: Path, depth: int) -> Iterator[Path]:
    if (folder / MANIFEST).is_file() or (folder / "pyvenv.cfg").is_file():
        return
    if (folder / "saved_model.pb").is_file():
        yield folder
        return
    for path in sorted(folder.iterdir()):
        if path.suffix == ".keras" and path.is_file():
            yield path
        elif depth and path.is_dir() and path.name[0] != "." and path.name != "node_modules":
            yield from _paths(path, depth - 1)


def _table(name: str, path: Path, folder: Path) -> str:
    lines = [f"\n[models.{name}]", f"source = {_quoted(path, folder)}"]
    for suffix in (".npz", ".npy", ".safetensors"):
        if (data := path.with_suffix(suffix)).is_file():
            lines.append(f"inputs = {_quoted(data, folder)}")
            break
    else:
        lines.append('# inputs = "data.npz"  # some of its own data, by input name')
    return "\n".join(lines) + "\n"


def _quoted(path: Path, folder: Path) -> str:
    return json.dumps(path.relative_to(folder).as_posix())
