"""Honest bundles, and copies of them to be damaged."""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load, save

Arrays = dict[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Bases:
    """What the corpus begins with.

    Attributes:
        bundle: An honest bundle, of a small network.
        model: The `.keras` file that it was exported from.
        secret: A file that nothing may read.
        target: A file that nothing may write.
        server: The URL of the corpus's server.
    """

    bundle: Path
    model: Path
    secret: Path = Path("secret")
    target: Path = Path("target")
    server: str = ""


class Draft:
    """A copy of a bundle whose manifest and files can be changed, digests and all."""

    def __init__(self, original: Path, folder: Path) -> None:
        self.path = folder / original.name
        shutil.copytree(original, self.path)
        self.manifest: dict[str, Any] = json.loads((self.path / "manifest.json").read_text())

    @property
    def artifact(self) -> dict[str, Any]:
        """The TFLite file, in float32."""
        names = {(a["format"], a["variant"]): a for a in self.manifest["artifacts"]}
        found: dict[str, Any] = names["tflite", ""]
        return found

    def deciding(self) -> list[dict[str, Any]]:
        """The cases that decide."""
        return [v for v in self.manifest["vectors"] if v["regime"] != "edge"]

    def arrays(self, vector: dict[str, Any]) -> Arrays:
        return load((self.path / vector["file"]["path"]).read_bytes())

    def replace(self, record: dict[str, Any], content: bytes) -> None:
        """Other bytes of a file, which its record in the manifest says too."""
        (self.path / record["path"]).write_bytes(content)
        record.update(size=len(content), sha256=hashlib.sha256(content).hexdigest())

    def change_vectors(self, change: Callable[[Arrays], Arrays]) -> None:
        """Change the arrays of each case that decides."""
        for vector in self.deciding():
            self.replace(vector["file"], save(change(self.arrays(vector))))

    def save(self) -> Path:
        (self.path / "manifest.json").write_text(json.dumps(self.manifest))
        return self.path
