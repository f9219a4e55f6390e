"""Makes damaged bundles and faulty runtimes.

A damaged bundle has changed files, and a manifest with the digests of the changed files. So the
digests reveal nothing: only the numbers that a runtime computes can show the damage.
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
    """A copy of `bundle` in the folder `target`, changed by `damage` and named after the folder."""
    shutil.copytree(bundle.path, target)
    damage(target)
    return rewrite_manifest(target, bundle.manifest.model_copy(update={"model": target.name}))


def with_format_from(undamaged: Bundle, faulty: Path, format_: str, target: Path) -> Bundle:
    """A copy of the undamaged bundle, with the files of one format from the folder `faulty`.

    The test vectors and the manifest's names stay those of the undamaged bundle.
    """

    def replace_files(folder: Path) -> None:
        shutil.rmtree(folder / format_)
        shutil.copytree(faulty / format_, folder / format_)

    return damaged(undamaged, target, replace_files)


def with_faulty_runner(runtime: Runtime, fault: str) -> Runtime:
    """The runtime with its runner behind a proxy that adds the fault: see faulty_runner.py."""
    proxy = [sys.executable, os.fspath(Path(__file__).parent / "faulty_runner.py"), fault]
    return replace(runtime, command=lambda: [*proxy, *runtime.command()])


def rewrite_manifest(folder: Path, manifest: Manifest) -> Bundle:
    """Write the manifest with the digests of the files as they are now, and open the bundle."""
    artifacts = [_with_current_digests(folder, artifact) for artifact in manifest.artifacts]
    vectors = [
        vector.model_copy(update={"file": digest.file_record(folder, vector.file.path)})
        for vector in manifest.vectors
    ]
    update = {"artifacts": tuple(artifacts), "vectors": tuple(vectors)}
    write_manifest(folder, manifest.model_copy(update=update))
    return Bundle.open(folder)


def _with_current_digests(folder: Path, artifact: Artifact) -> Artifact:
    return artifact.model_copy(update={"files": digest.folder_records(folder, artifact.folder)})
