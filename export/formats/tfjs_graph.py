"""TF.js graph model: `model.json` and its weight shards, for browsers and Node."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bundle.errors import ExportError
from bundle.manifest import Endpoint
from bundle.signature import Signature
from export.formats.savedmodel import FOLDER, unchanged
from export.formats.tfjs_converter import convert_tf_saved_model
from export.source import Source


def write(source: Source, root: Path) -> dict[str, Endpoint]:
    """Write `root/tfjs-graph/SIGNATURE/model.json` for each: a TF.js model has but one."""
    return {name: _write_signature(source, name, root) for name in source.functions}


def _write_signature(source: Source, signature: str, root: Path) -> Endpoint:
    folder = f"tfjs-graph/{quote(signature, safe='')}"
    convert_tf_saved_model(str(root / FOLDER), str(root / folder), signature_def=signature)
    path = root / folder / "model.json"
    model = json.loads(path.read_text())
    model["signature"] = _named(model["signature"], source.signatures[signature])
    # The converter writes maps in an order that changes from run to run, and in TF.js the order
    # of the outputs is that of `predict`'s list: sorted by name, as TensorFlow flattens a dict.
    path.write_text(json.dumps(model, sort_keys=True))
    return unchanged(f"{folder}/model.json", source, signature)


def _named(written: Any, signature: Signature) -> dict[str, Any]:
    """The signature in `model.json` with the source's names.

    The converter finds a tensor's name by its dtype and shape, and where two are alike writes the
    name in the graph instead: the input's own, and for output N, in the order of the sorted
    names, `Identity_N` (_build_signature_def in tf_saved_model_conversion_v2.py).
    """
    inputs = {info["name"]: info for info in written["inputs"].values()}
    outputs = {info["name"]: info for info in written["outputs"].values()}
    tensors = {
        name: f"Identity_{n}:0" if n else "Identity:0"
        for n, name in enumerate(sorted(signature.outputs))
    }
    try:
        return {
            "inputs": {name: inputs.pop(f"{name}:0") for name in signature.inputs},
            "outputs": {name: outputs[tensors[name]] for name in signature.outputs},
        }
    except KeyError as missing:
        raise ExportError(f"the TF.js converter left out {missing} of {signature}") from None
