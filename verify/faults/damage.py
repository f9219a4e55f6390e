"""Bundles whose files were changed and whose digests agree, and runtimes that answer wrongly.

Only the numbers can tell.
"""

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from portproof.bundle import digest
from portproof.bundle.bundle import Bundle, write_manifest
from portproof.bundle.manifest import Artifact, Manifest
from portproof.runtimes.runtime import Runtime

Damage = Callable[[Path], None]


def damaged(bundle: Bundle, target: Path, damage: Damage) -> Bundle:
    """A copy of `bundle`, named after `target`, after `damage` was done to its folder."""
    shutil.copytree(bundle.path, target)
    damage(target)
    return sign(target, bundle.manifest.model_copy(update={"model": target.name}))


def grafted(right: Bundle, faulty: Path, format_: str, target: Path) -> Bundle:
    """The right bundle, vectors and names, with one format's files from the folder `faulty`."""

    def replace_files(folder: Path) -> None:
        shutil.rmtree(folder / format_)
        shutil.copytree(faulty / format_, folder / format_)

    return damaged(right, target, replace_files)


def spoiled(runtime: Runtime, fault: str) -> Runtime:
    """The runtime behind a proxy that does wrong, see faulty_runner.py."""
    proxy = [sys.executable, os.fspath(Path(__file__).parent / "faulty_runner.py"), fault]
    return replace(runtime, command=lambda: [*proxy, *runtime.command()])


def sign(folder: Path, manifest: Manifest) -> Bundle:
    """Write the manifest with the digests of the files as they are now."""
    artifacts = [_described(folder, artifact) for artifact in manifest.artifacts]
    vectors = [
        v.model_copy(update={"file": digest.file_record(folder, v.file.path)})
        for v in manifest.vectors
    ]
    update = {"artifacts": tuple(artifacts), "vectors": tuple(vectors)}
    write_manifest(folder, manifest.model_copy(update=update))
    return Bundle.open(folder)


def _described(folder: Path, artifact: Artifact) -> Artifact:
    return artifact.model_copy(update={"files": digest.folder_records(folder, artifact.folder)})
