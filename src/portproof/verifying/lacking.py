"""What a runtime lacks for an artifact, and in which layers of the model that is."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from portproof.bundle.layer_names import plain_name
from portproof.bundle.reading import MANIFEST_LIMIT, read_file
from portproof.bundle.text import printable, shortened
from portproof.verifying.trial import Trial


def lack_text(trial: Trial, what: str) -> str:
    """`lacks GELU (in activation, activation_1)`; the places are left out where none is known."""
    places = list(dict.fromkeys(_places(trial, what)))
    if not places:
        return f"lacks {what}"
    return f"lacks {what} (in {shortened(places)})"


def _places(trial: Trial, what: str) -> Iterator[str]:
    """The layers, or where the model has none the tensors, that an op of this name computes."""
    layers = set(trial.bundle.manifest.layers)
    for name in _tensors(trial, set(re.findall(r"\w+", what))):
        # A fused tensor has the names of all that it was made of.
        parts = [part for one in name.split(";") for part in plain_name(one).split("/")]
        named = next((part for part in reversed(parts) if _layer(part) in layers), "")
        if named or not layers:
            yield _layer(named) or parts[-1]


def _layer(part: str) -> str:
    """A layer's name: Keras counts the calls of a layer behind it, `dense_1_2`."""
    return re.sub(r"_\d+$", "", part)


def _tensors(trial: Trial, ops: set[str]) -> list[str]:
    """The names of the tensors that ops of these names make, where the file can be read here."""
    path = trial.bundle.artifact_path(trial.endpoint.one_row or trial.endpoint.path)
    with suppress(Exception):  # it is for the message alone, and the file is a stranger's
        if trial.artifact.format == "tflite":
            from portproof.tflite.file import tensors_of_ops

            return [printable(name) for name in tensors_of_ops(str(path), ops)]
        if trial.artifact.format == "tfjs-graph":
            model = Path(path, "model.json") if path.is_dir() else path
            nodes = json.loads(read_file(model, MANIFEST_LIMIT))["modelTopology"]["node"]
            return [printable(node["name"]) for node in nodes if node["op"] in ops]
    return []
