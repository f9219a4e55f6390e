"""`portproof.toml`: where models come from and where they go, said once.

It is `portproof.toml`, or the table `[tool.portproof]` of a `pyproject.toml`, in the current folder
or one above it. Paths in it are relative to its own folder.
"""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from portproof.bundle.errors import UsageError
from portproof.bundle.text import choices
from portproof.comparing.floors import Floor, floor_of

FILE, PYPROJECT = "portproof.toml", "pyproject.toml"


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FloorSettings(_Table):
    """What a variant must keep of the model, where the default is not what the person wants.

    Attributes:
        sqnr: The least signal to quantisation noise ratio over a whole output, in dB.
        same_largest: The least share of rows with the same largest element, of an output that is a
            distribution or scores.
        accuracy_loss: By how much the accuracy on the labelled rows may be below the model's.
    """

    sqnr: float | None = Field(default=None, allow_inf_nan=False)
    same_largest: float | None = Field(default=None, ge=0, le=1)
    accuracy_loss: float | None = Field(default=None, ge=0, le=1)

    def over(self, default: Floor) -> Floor:
        """A floor in which these replace the defaults."""
        given = {key: value for key, value in vars(self).items() if value is not None}
        return Floor(**{**vars(default), **given})


class ModelSettings(_Table):
    """One model.

    Attributes:
        source: A `.keras` file, a SavedModel folder or `package.module:function`.
        inputs: A file with the model's own data.
        labels: By output, a `.npy` file with the right class of each row of the data.
        signatures: The only signatures to export; empty: all.
        formats: The full names of the only formats to write; empty: all.
        keep_float: Layers that variants keep in floats.
        imports: Modules with the model's own layers.
        depends: Patterns of more files that the source reads, such as its weights: where one
            changes, the model is exported again.
        targets: The runtimes that it ships to, which then decide alone. TFLite files of one row are
            made only if one of them runs such.
        floors: By variant, what it must keep.
        publish: Where `portproof publish` puts it.
    """

    source: str
    inputs: str | None = None
    labels: dict[str, str] = {}
    signatures: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    keep_float: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    depends: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    floors: dict[str, FloorSettings] = {}
    publish: str | None = None


class _Settings(_Table):
    """The whole file. What stands outside a model is the default for each.

    Attributes:
        artifacts: The folder of the bundles.
        targets: See `ModelSettings`.
        floors: See `ModelSettings`.
        publish: See `ModelSettings`.
        models: The models by name.
    """

    artifacts: str = "artifacts"
    targets: tuple[str, ...] = ()
    floors: dict[str, FloorSettings] = {}
    publish: str | None = None
    models: dict[str, ModelSettings] = {}


@dataclass(frozen=True)
class Project:
    """What a settings file says. `root` is its folder."""

    file: Path
    artifacts: Path
    models: dict[str, ModelSettings]

    @property
    def root(self) -> Path:
        return self.file.parent

    def bundle(self, name: str) -> Path:
        """The folder of a model's bundle."""
        return self.artifacts / name

    def floors(self, name: str) -> dict[str, Floor]:
        """By variant, the floors of a model that are not the default ones."""
        settings = self.models[name].floors
        return {variant: given.over(floor_of(variant)) for variant, given in settings.items()}

    def chosen(self, names: tuple[str, ...]) -> dict[str, ModelSettings]:
        """The models of these names, or all. Raises UsageError where one is none."""
        if unknown := [name for name in names if name not in self.models]:
            known = ", ".join(self.models) or "none"
            raise UsageError(f"{self.file} has no model {unknown[0]!r}: it has {known}.")
        return {name: self.models[name] for name in names or self.models}


def find_project(start: Path | None = None) -> Project | None:
    """The settings file of a folder or of one above it, or None.

    Raises UsageError where it is damaged.
    """
    folder = (start or Path()).resolve()
    for place in (folder, *folder.parents):
        for file, table in _tables(place):
            return _project(file, table)
    return None


def _tables(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    own, shared = folder / FILE, folder / PYPROJECT
    if own.is_file():
        yield own, _read(own)
    elif shared.is_file():
        tool = _read(shared).get("tool")
        table = tool.get("portproof") if isinstance(tool, dict) else None
        if table is not None:
            yield shared, table


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} is not TOML: {error}.") from None


def _reason(error: ValidationError) -> str:
    """What is wrong with a file of settings, and what is right in its place."""
    first = error.errors()[0]
    place = [str(part) for part in first["loc"]]
    if first["type"] != "extra_forbidden":
        return f"{'.'.join(place) or 'the file'}: {first['msg']}."
    table: type[_Table] = _Settings if len(place) == 1 else ModelSettings
    if place[-3:-2] == ["floors"]:
        table = FloorSettings
    return f"there is no setting {'.'.join(place)}: {choices(place[-1], table.model_fields)}"


def _project(file: Path, table: dict[str, Any]) -> Project:
    if not isinstance(table, dict):
        raise UsageError(f"{file}: tool.portproof is no table.")
    try:
        settings = _Settings.model_validate(table)
    except ValidationError as error:
        raise UsageError(f"{file}: {_reason(error)}") from None
    for name in settings.models:
        if name != name.strip(". ") or not name or set(name) & set("/\\\0"):
            raise UsageError(f"{file}: models.{name!r}: a name is that of a folder in artifacts.")
    if "\0" in settings.artifacts:
        raise UsageError(f"{file}: artifacts: no folder has such a name.")
    models = {
        name: model.model_copy(
            update={
                "targets": model.targets or settings.targets,
                "floors": {**settings.floors, **model.floors},
                "publish": model.publish or settings.publish,
            }
        )
        for name, model in settings.models.items()
    }
    return Project(file, (file.parent / settings.artifacts).resolve(), models)
