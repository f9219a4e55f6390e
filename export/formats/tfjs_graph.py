"""TF.js graph model: `model.json` and its weight shards, for browsers and Node."""

import json
from pathlib import Path
from urllib.parse import quote

from bundle.manifest import Endpoint
from export.formats.savedmodel import FOLDER, unchanged
from export.formats.tfjs_converter import convert_tf_saved_model
from export.source import Source


def write(source: Source, root: Path) -> dict[str, Endpoint]:
    """Write `root/tfjs-graph/SIGNATURE/model.json` for each signature: a TF.js model has but one."""
    return {name: _write_signature(source, name, root) for name in source.functions}


def _write_signature(source: Source, signature: str, root: Path) -> Endpoint:
    folder = f"tfjs-graph/{quote(signature, safe='')}"
    convert_tf_saved_model(str(root / FOLDER), str(root / folder), signature_def=signature)
    model = root / folder / "model.json"
    # The converter writes maps in an order that changes from run to run.
    model.write_text(json.dumps(json.loads(model.read_text()), sort_keys=True))
    return unchanged(f"{folder}/model.json", source, signature)
