"""Copies of bundles whose files were changed and whose digests agree: only the numbers can tell."""

import shutil
from collections.abc import Callable
from pathlib import Path

from bundle import digest
from bundle.bundle import Bundle, write_manifest
from bundle.manifest import Artifact, Manifest

Damage = Callable[[Path], None]


def damaged(bundle: Bundle, target: Path, damage: Damage) -> Bundle:
    """A copy of `bundle`, named after `target`, after `damage` was done to its folder."""
    shutil.copytree(bundle.path, target)
    damage(target)
    return sign(target, bundle.manifest.model_copy(update={"model": target.name}))


def sign(folder: Path, manifest: Manifest) -> Bundle:
    """Write the manifest with the digests of the files as they are now."""
    artifacts = [_described(folder, artifact) for artifact in manifest.artifacts]
    vectors = [
        v.model_copy(update={"file": digest.describe(folder, v.file.path)})
        for v in manifest.vectors
    ]
    update = {"artifacts": tuple(artifacts), "vectors": tuple(vectors)}
    write_manifest(folder, manifest.model_copy(update=update))
    return Bundle.open(folder)


def _described(folder: Path, artifact: Artifact) -> Artifact:
    return artifact.model_copy(update={"files": digest.describe_all(folder, artifact.format)})
