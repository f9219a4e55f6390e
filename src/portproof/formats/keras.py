"""Keras: a `.keras` file that loads in safe mode with none of our code."""

import json
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

import keras

from portproof.bundle.errors import ExportError
from portproof.bundle.manifest import Endpoint
from portproof.formats.format import Written
from portproof.sources.keras_models import (
    foreign,
    input_name,
    keras_output_structure,
    keras_outputs,
)
from portproof.sources.source import Source

# The earliest time that a zip entry can hold. Any fixed one would do.
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


def write(source: Source, root: Path, folder: str) -> Written:
    """Write `root/keras/SIGNATURE.keras` for each Keras form that the source states."""
    (root / folder).mkdir()
    return Written(
        {
            signature: _write_form(source, signature, model, root, folder)
            for signature, model in source.keras_forms.items()
        }
    )


def _write_form(
    source: Source, signature: str, model: keras.Model, root: Path, folder: str
) -> Endpoint:
    if classes := list(dict.fromkeys(foreign(keras.saving.serialize_keras_object(model)))):
        raise ExportError(
            f"{source.name} is made with {', '.join(classes)}, which Keras does not have: a file "
            "of it loads where your code is, and nowhere else"
        )
    stem = source.name if len(source.keras_forms) == 1 else quote(signature, safe="")
    path = f"{folder}/{stem}.keras"
    file = root / path
    model.save(file)
    _make_reproducible(file)
    names = source.signatures[signature]
    return Endpoint(
        path=path,
        inputs=_same_names("input", source, names.inputs, [input_name(t) for t in model.inputs]),
        outputs=_same_names("output", source, names.outputs, _output_names(model)),
    )


def _output_names(model: keras.Model) -> list[str]:
    return list(keras_outputs(model, keras_output_structure(model)))


def _same_names(kind: str, source: Source, expected: Any, actual: list[str]) -> dict[str, str]:
    if set(expected) != set(actual):
        raise ExportError(
            f"{source.name}: the Keras form's {kind}s are {sorted(actual)}, "
            f"and the signature's are {sorted(expected)}. Name its layers after the signature."
        )
    return {name: name for name in expected}


def _make_reproducible(path: Path) -> None:
    """Write the file again without what differs from export to export.

    That is the time in `metadata.json`, the times of the zip's entries, and in `config.json` the
    ids of shared objects, which are memory addresses.
    """
    with zipfile.ZipFile(path) as source:
        entries = {name: source.read(name) for name in sorted(source.namelist())}
    metadata = json.loads(entries["metadata.json"])
    metadata["date_saved"] = "1980-01-01@00:00:00"
    entries["metadata.json"] = json.dumps(metadata, sort_keys=True).encode()
    config = json.loads(entries["config.json"])
    _renumber_shared_objects(config, {})
    entries["config.json"] = json.dumps(config).encode()
    rewritten = path.with_suffix(".tmp")
    with zipfile.ZipFile(rewritten, "w", zipfile.ZIP_STORED) as target:
        for name, data in entries.items():
            info = zipfile.ZipInfo(name, _ZIP_EPOCH)
            info.external_attr = 0o644 << 16
            target.writestr(info, data)
    rewritten.replace(path)


def _renumber_shared_objects(config: Any, numbers: dict[int, int]) -> None:
    """Number shared objects from 0 in the order in which they appear."""
    if isinstance(config, dict):
        if (shared := config.get("shared_object_id")) is not None:
            config["shared_object_id"] = numbers.setdefault(shared, len(numbers))
        for value in config.values():
            _renumber_shared_objects(value, numbers)
    elif isinstance(config, list):
        for value in config:
            _renumber_shared_objects(value, numbers)
