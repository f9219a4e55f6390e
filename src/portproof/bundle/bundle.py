"""The folder of one model: its artifacts, `manifest.json` and its test vectors."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from os.path import realpath
from pathlib import Path, PurePosixPath

from portproof.bundle import atomic, tensors
from portproof.bundle.digest import File, paths_in, sha256_of
from portproof.bundle.errors import BundleError, UsageError
from portproof.bundle.manifest import SCHEMA, Manifest, Vector
from portproof.bundle.reading import MANIFEST_LIMIT, VECTOR_LIMIT, parsed, read_file
from portproof.bundle.schema import other_schema
from portproof.bundle.text import short_path

MANIFEST = "manifest.json"
REPORT = "report.json"
PAGE = "report.html"
CARD = "README.md"
DEVICES = "devices"  # the folder of what devices computed


@dataclass(frozen=True, repr=False)
class Bundle:
    """A bundle on disk.

    Attributes:
        path: Its folder.
        manifest: What it says of itself.
        digest: The SHA-256 of its manifest, which holds all other digests.
        artifacts: The folder from which runtimes load the artifacts; None: its own.
    """

    path: Path
    manifest: Manifest
    digest: str
    artifacts: Path | None = None

    @classmethod
    def open(cls, path: str | Path) -> "Bundle":
        """Read a bundle, and compare every file with its digest before anything parses one.

        Raises BundleError, naming the file, where one is missing, changed, added or a link.
        """
        bundle = cls.open_unchecked(path)
        bundle._check_files()
        bundle._check_endpoints()
        return bundle

    @classmethod
    def open_unchecked(cls, path: str | Path) -> "Bundle":
        """Read the manifest alone. Raises BundleError where there is none or it is not one."""
        path = Path(path)
        try:
            text = read_file(path / MANIFEST, MANIFEST_LIMIT)
        except OSError as error:
            raise BundleError(_no_bundle(path, error)) from error
        try:
            manifest = parsed(Manifest, text)
        except ValueError as error:
            if other := other_schema(text, SCHEMA):
                raise BundleError(f"{path / MANIFEST} cannot be read: {other}.") from None
            raise BundleError(
                f"{path / MANIFEST} is damaged: {error}. Export the model again."
            ) from error
        return cls(path, manifest, hashlib.sha256(text).hexdigest())

    def __repr__(self) -> str:
        """In a line: the manifest of a large model has thousands."""
        count = len(self.manifest.artifacts)
        return f"<Bundle {self.manifest.model} with {count} artifacts in {short_path(self.path)}>"

    def _repr_html_(self) -> str:
        """As Jupyter shows it."""
        from portproof.reporting.notebook import bundle_html

        return bundle_html(self)

    def _check_files(self) -> None:
        listed = {file.path: file for file in self.manifest.files}
        try:
            for file in listed.values():
                self._check_file(file)
        except OSError as error:
            raise BundleError(f"{self.path}: {error.filename}: {error.strerror}.") from error
        for artifact in self.manifest.artifacts:
            for folder in {file.path.split("/")[0] for file in artifact.files}:
                for path in paths_in(self.path / folder):
                    if f"{folder}/{path}" not in listed:
                        raise BundleError(
                            f"{self.path}: {folder}/{path} is not in {MANIFEST}. "
                            "Remove it, or export the model again."
                        )

    def _check_file(self, file: File) -> None:
        relative = PurePosixPath(file.path)
        if relative.is_absolute() or ".." in relative.parts:
            raise BundleError(f"{self.path}: {MANIFEST} names {file.path}, outside the bundle.")
        path = self.path / relative
        # `Path.resolve` raises where links lead to each other.
        if realpath(path) != str(self.path.resolve() / relative) or not path.is_file():
            raise BundleError(f"{self.path}: {file.path} is missing. Export the model again.")
        if path.stat().st_size != file.size or sha256_of(path) != file.sha256:
            raise BundleError(
                f"{self.path}: {file.path} is not the file that was exported "
                f"(its SHA-256 is not the manifest's). Export the model again."
            )

    def _check_endpoints(self) -> None:
        """What a runtime is given to load must be files whose digests were compared."""
        artifacts = self.manifest.artifacts
        folders = {file.path.split("/")[0] for artifact in artifacts for file in artifact.files}
        for artifact in artifacts:
            files = [file.path for file in artifact.files]
            for signature, endpoint in artifact.endpoints.items():
                if signature not in self.manifest.signatures:
                    raise BundleError(f"{self.path}: {MANIFEST} has no signature {signature}.")
                one_row = [] if endpoint.one_row is None else [endpoint.one_row]
                for path in (endpoint.path, *one_row):
                    if not any(f == path or f.startswith((f"{path}/", f"{path}.")) for f in files):
                        raise BundleError(f"{self.path}: {path} is no file of {artifact.name}.")
            if artifact.graph is not None and artifact.graph not in folders:
                raise BundleError(f"{self.path}: {artifact.graph} is no artifact of this bundle.")

    def artifact_path(self, path: str) -> Path:
        """From where a runtime loads what an endpoint names."""
        return (self.artifacts or self.path).resolve() / path

    def vectors(self, signature: str) -> list[Vector]:
        """The cases of a signature, in the order in which they are to be run."""
        return [v for v in self.manifest.vectors if v.signature == signature]

    def read(self, vector: Vector) -> tensors.Arrays:
        """The arrays `inputs/NAME`, `reference/NAME` and the others of a case.

        Raises BundleError where a file is no longer what it was when the bundle was opened.
        """
        arrays: tensors.Arrays = {}
        for file in (vector.file, *vector.variants):
            try:
                content = read_file(self.path / file.path, min(file.size, VECTOR_LIMIT))
            except OSError as error:
                raise BundleError(f"{self.path}: {file.path}: {error.strerror}") from error
            if hashlib.sha256(content).hexdigest() != file.sha256:
                raise BundleError(f"{self.path}: {file.path} was changed while it was read.")
            try:
                arrays |= _not_empty(tensors.from_bytes(content))
            except ValueError as error:
                raise BundleError(f"{self.path}: {file.path}: {error}") from error
        return arrays


def _no_bundle(path: Path, error: OSError) -> str:
    if path.is_file():
        return f"{path} is a file, and no bundle. If it is a model: portproof export {path}"
    if not path.exists():
        return f"there is no bundle {path}. Make one with `portproof export`."
    return (
        f"{path} is not a bundle: {MANIFEST} cannot be read ({error.strerror}). "
        "Make one with `portproof export`."
    )


def _not_empty(arrays: tensors.Arrays) -> tensors.Arrays:
    if not arrays:
        raise ValueError("it holds no arrays")
    return arrays


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `manifest.json`: the last file of a bundle."""
    text = manifest.model_dump_json(indent=2, by_alias=True, exclude_defaults=False)
    atomic.write_text(folder / MANIFEST, text + "\n")


def find_bundles(folder: Path) -> list[Path]:
    """Every bundle directly below a folder. Raises UsageError where there is none."""
    paths = sorted(p.parent for p in folder.glob(f"*/{MANIFEST}") if p.parent.name[0] != ".")
    if not paths:
        raise UsageError(f"there is no bundle in {folder}. Make one with `portproof export`.")
    return paths


def tell_lost(bundles: Mapping[str, Path], log: Callable[[str], None]) -> None:
    """Say what goes with a bundle that is replaced: the reports of devices, which may be far."""
    for name, path in bundles.items():
        if reports := list((path / DEVICES).glob("*.json")):
            log(f"{name}: reports of devices that go with the earlier files: {len(reports)}")


def replaceable(path: Path) -> Path:
    """The path, resolved. Raises UsageError where something is there that is no bundle."""
    path = Path(realpath(path))
    if path.is_dir() and any(path.iterdir()) and not (path / MANIFEST).is_file():
        raise UsageError(
            f"{path} is a folder that holds something else than a bundle: name another."
        )
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path} is a file: name a folder for the bundle.")
    return path
