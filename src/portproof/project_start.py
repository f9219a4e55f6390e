"""The `portproof.toml` of a folder: a table for each model that is there."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from portproof.bundle import atomic
from portproof.bundle.bundle import MANIFEST
from portproof.bundle.errors import UsageError
from portproof.project import FILE, Project, find_project
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
    """Write `portproof.toml`, or add to it. Returns its path and the names of the new models.

    Raises UsageError where it is there already and has all models that are found, and where a
    folder above this one, or a pyproject.toml, has the settings.
    """
    path = folder / FILE
    project = find_project(folder)
    if project and project.file != path.resolve():
        raise UsageError(f"{project.file} is there already: edit it.")
    models = dict(_found(folder, project))
    if project and not models:
        raise UsageError(f"{path} is there already, and no other model was found: edit it.")
    tables = "".join(_table(name, model, folder) for name, model in models.items())
    if project:
        head = path.read_text(encoding="utf-8").rstrip() + "\n"
    else:
        runtimes = ", ".join(runtime.name for runtime in table() if not runtime.missing())
        head = _HEAD.format(runtimes=runtimes or "none yet; see `portproof setup`")
    atomic.write_text(path, head + (tables or _EXAMPLE))
    return path, list(models)


def _found(folder: Path, project: Project | None) -> Iterator[tuple[str, Path]]:
    """Models by name, but for those inside bundles, hidden folders and installed packages.

    Those that a project has already are left out.
    """
    names = set(project.models) if project else set()
    sources = [model.source for model in project.models.values()] if project else []
    known = {(folder / source).resolve() for source in sources}
    for path in _paths(folder, _DEPTH):
        if path.resolve() in known:
            continue
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
    data, sure = _data_of(path)
    named = _quoted(data, folder) if data else '"data.npz"'
    lines.append(f"{'' if sure else '# '}inputs = {named}  # some of its own data, by input name")
    return "\n".join(lines) + "\n"


def _data_of(model: Path) -> tuple[Path | None, bool]:
    """The file of a model's own data, and whether no other is meant.

    That is the one of its name; else the only one of arrays beside it, where it is the only model.
    """
    for suffix in (".npz", ".npy", ".safetensors"):
        if (data := model.with_suffix(suffix)).is_file():
            return data, True
    beside = [path for path in sorted(model.parent.iterdir()) if path.is_file()]
    models = [path for path in beside if path.suffix == ".keras"]
    arrays = [path for path in beside if path.suffix in (".npz", ".safetensors")]
    return next(iter(arrays), None), len(arrays) == 1 and len(models) <= 1


def _quoted(path: Path, folder: Path) -> str:
    return json.dumps(path.relative_to(folder).as_posix())
