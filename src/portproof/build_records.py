"""What a model's bundle and report were made of, so that only what has changed is made again.

It is recorded beside the bundles, in `.portproof/NAME.json`: digests of the settings, of every file
that the model's source reads, and of Portproof itself.
"""

import hashlib
import importlib.metadata
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from portproof.bundle import atomic
from portproof.bundle.bundle import MANIFEST, REPORT, Bundle
from portproof.bundle.digest import paths_in, sha256_of
from portproof.bundle.errors import BundleError
from portproof.bundle.report import Report
from portproof.project import ModelSettings, Project
from portproof.quiet import keras_backend
from portproof.runtimes.listing import runtime_states
from portproof.runtimes.table import needs_one_row

# The settings, and the packages' versions, that decide what an export gives.
_SETTINGS = (
    "source",
    "inputs",
    "labels",
    "signatures",
    "formats",
    "keep_float",
    "imports",
    "depends",
)
_PACKAGES = ("portproof", "tensorflow", "tensorflow-cpu", "keras", "numpy")


class BuildRecord(BaseModel):
    """What one bundle was made of, and what its report covers.

    Attributes:
        settings: A digest of the model's settings, of those that its export depends on.
        versions: Of the packages that exported it, and Keras's backend.
        files: By path relative to the project, the SHA-256 of what its source read.
        verified: A digest of all that its report depends on; empty before there is one.
    """

    settings: str
    versions: dict[str, str]
    files: dict[str, str]
    verified: str = ""


@dataclass(frozen=True)
class ModelBuild:
    """The bundle and the report of one model of a project, and what is recorded of them."""

    project: Project
    name: str

    @property
    def settings(self) -> ModelSettings:
        return self.project.models[self.name]

    @property
    def folder(self) -> Path:
        return self.project.bundle(self.name)

    @property
    def record_file(self) -> Path:
        return self.project.artifacts / ".portproof" / f"{self.name}.json"

    def is_exported(self) -> bool:
        """Whether an export would give the bundle that is there."""
        record = self._record()
        if record is None or not (self.folder / MANIFEST).is_file():
            return False
        if (record.settings, record.versions) != (self._settings_digest(), _versions()):
            return False
        files = {path: self.project.root / path for path in record.files}
        files |= {self._relative(path): path for path in self._named_files()}
        now = {key: sha256_of(path) for key, path in files.items() if path.is_file()}
        return now == record.files

    def note_exported(self) -> None:
        """Record what the bundle was made of: what is named, and the project's imported modules."""
        paths = {*self._named_files(), *_modules_below(self.project.root)}
        files = {self._relative(path): sha256_of(path) for path in sorted(paths)}
        settings = self._settings_digest()
        self._write(BuildRecord(settings=settings, versions=_versions(), files=files))

    def report(self, runtimes: Sequence[str]) -> Report | None:
        """The report that is there, if it still says what a verification would say.

        One that is not proven is none: what failed may have been the machine's fault.
        """
        record = self._record()
        try:
            bundle = Bundle.open(self.folder)
            report = Report.model_validate_json((self.folder / REPORT).read_text(encoding="utf-8"))
        except (OSError, BundleError, ValidationError):
            return None
        if record is None or record.verified != self._report_digest(bundle, runtimes):
            return None
        return report if report.ok and report.bundle.get(self.name) == bundle.digest else None

    def note_verified(self, runtimes: Sequence[str]) -> None:
        """Record what the new report depends on."""
        if record := self._record():
            digest = self._report_digest(Bundle.open_unchecked(self.folder), runtimes)
            self._write(record.model_copy(update={"verified": digest}))

    def _record(self) -> BuildRecord | None:
        try:
            return BuildRecord.model_validate_json(self.record_file.read_text(encoding="utf-8"))
        except (OSError, ValidationError):
            return None

    def _write(self, record: BuildRecord) -> None:
        self.record_file.parent.mkdir(parents=True, exist_ok=True)
        atomic.write_text(self.record_file, record.model_dump_json(indent=1) + "\n")

    def _settings_digest(self) -> str:
        settings = {key: getattr(self.settings, key) for key in _SETTINGS}
        return _digest_of({**settings, "one_row": needs_one_row(self.settings.targets)})

    def _report_digest(self, bundle: Bundle, runtimes: Sequence[str]) -> str:
        """Of all that the report depends on: the bundle, what judges it, the runtimes here."""
        return _digest_of(
            {
                "bundle": bundle.digest,
                "code": code_digest(),
                "targets": self.settings.targets,
                "floors": sorted(self.project.floors(self.name).items()),
                "runtimes": tuple(runtimes),
            }
        )

    def _named_files(self) -> Iterator[Path]:
        root, settings = self.project.root, self.settings
        source = root / settings.source
        if source.is_dir():
            yield from (source / path for path in paths_in(source))
        named = [settings.source, settings.inputs, *settings.labels.values()]
        yield from (root / name for name in named if name and (root / name).is_file())
        for pattern in settings.depends:
            yield from (path for path in root.glob(pattern) if path.is_file())

    def _relative(self, path: Path) -> str:
        path = path.resolve()
        root = self.project.root
        return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _modules_below(root: Path) -> Iterator[Path]:
    """The files of imported modules that are the project's own, not an installed package's."""
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        path = Path(file).resolve() if file else None
        if path and path.is_relative_to(root) and not _is_installed(path) and path.is_file():
            yield path


def _is_installed(path: Path) -> bool:
    return "site-packages" in path.parts or path.is_relative_to(Path(__file__).parent)


def _versions() -> dict[str, str]:
    backend = keras_backend()
    found = {"code": code_digest(), "backend": backend}
    for name in (*_PACKAGES, backend):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@cache
def code_digest() -> str:
    """Of Portproof's own files: whoever changes them has another Portproof of the same version."""
    folder = Path(__file__).parent
    code = [path for path in paths_in(folder) if not path.endswith((".pyc", ".so"))]
    return _digest_of({path: sha256_of(folder / path) for path in code})


def _digest_of(value: Mapping[str, Any]) -> str:
    return hashlib.sha256(repr(sorted(value.items())).encode()).hexdigest()


def runtimes_here() -> list[str]:
    """The runtimes that are here, each with its version and environment."""
    states = (state for state in runtime_states() if not state.missing and "@" not in state.name)
    return [f"{s.name} {s.version} {s.folder.name if s.folder else ''}" for s in states]
