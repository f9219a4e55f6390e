"""Exports and verifies the models of a project, where something has changed since the last time.

What a bundle and its report were made of is recorded beside the bundles, in `.portproof/NAME.json`:
digests of the settings, of every file that the model's source reads, and of Portproof itself.
"""

import hashlib
import importlib.metadata
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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
from portproof.runtimes.listing import runtime_states
from portproof.sources.names import is_reference
from portproof.verification import Callbacks, VerifyOptions, verify_bundles

Log = Callable[[str], None]
# Whose version decides what an export gives.
_EXPORTING = ("portproof", "tensorflow", "tensorflow-cpu", "keras", "numpy")


class Made(BaseModel):
    """What one bundle was made of, and what its report covers.

    Attributes:
        settings: A digest of the model's settings, of those that its export depends on.
        versions: Of the packages that exported it.
        files: By path relative to the project, the SHA-256 of what its source read.
        verified: A digest of all that its report depends on; empty before there is one.
    """

    settings: str
    versions: dict[str, str]
    files: dict[str, str]
    verified: str = ""


@dataclass(frozen=True)
class Exporting:
    """How one model of a project is exported."""

    project: Project
    name: str

    @property
    def settings(self) -> ModelSettings:
        return self.project.models[self.name]

    @property
    def record(self) -> Path:
        return self.project.artifacts / ".portproof" / f"{self.name}.json"

    def made(self) -> Made | None:
        """What the bundle that is there was made of; None where nobody knows."""
        try:
            return Made.model_validate_json(self.record.read_text(encoding="utf-8"))
        except (OSError, ValidationError):
            return None

    def is_up_to_date(self) -> bool:
        """Whether an export would give the bundle that is there."""
        made = self.made()
        if made is None or not (self.project.bundle(self.name) / MANIFEST).is_file():
            return False
        if (made.settings, made.versions) != (self._digest(), _versions(_EXPORTING)):
            return False
        files = {path: self.project.root / path for path in made.files}
        files |= {self._relative(path): path for path in self._named_files()}
        now = {key: sha256_of(path) for key, path in files.items() if path.is_file()}
        return now == made.files

    def note(self) -> None:
        """Record what the bundle was made of: what is named, and the project's imported modules."""
        paths = {*self._named_files(), *_modules_below(self.project.root)}
        files = {self._relative(path): sha256_of(path) for path in sorted(paths)}
        made = Made(settings=self._digest(), versions=_versions(_EXPORTING), files=files)
        self.write(made)

    def write(self, made: Made) -> None:
        self.record.parent.mkdir(parents=True, exist_ok=True)
        atomic.write_text(self.record, made.model_dump_json(indent=1) + "\n")

    def _digest(self) -> str:
        deciding = ("source", "inputs", "labels", "signatures", "formats", "imports", "depends")
        return _digest_of({key: getattr(self.settings, key) for key in deciding})

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


def _versions(packages: Sequence[str]) -> dict[str, str]:
    found = {"code": code_digest()}
    for name in packages:
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


def verified_digest(project: Project, name: str, bundle: Bundle, runtimes: Sequence[str]) -> str:
    """Of all that a model's report depends on: its bundle, what judges it, the runtimes here."""
    settings = project.models[name]
    return _digest_of(
        {
            "bundle": bundle.digest,
            "code": code_digest(),
            "targets": settings.targets,
            "floors": sorted(project.floors(name).items()),
            "runtimes": tuple(runtimes),
        }
    )


def report_of(project: Project, name: str, runtimes: Sequence[str]) -> Report | None:
    """The report of a model's bundle, where it still says what a verification would say.

    One that is not proven is made again: what failed may have been the machine's fault.
    """
    made = Exporting(project, name).made()
    folder = project.bundle(name)
    try:
        bundle = Bundle.open(folder)
        report = Report.model_validate_json((folder / REPORT).read_text(encoding="utf-8"))
    except (OSError, BundleError, ValidationError):
        return None
    if made is None or made.verified != verified_digest(project, name, bundle, runtimes):
        return None
    return report if report.ok and report.bundle.get(name) == bundle.digest else None


def note_verified(project: Project, name: str, bundle: Bundle, runtimes: Sequence[str]) -> None:
    """Record what a model's new report depends on."""
    exporting = Exporting(project, name)
    if made := exporting.made():
        digest = verified_digest(project, name, bundle, runtimes)
        exporting.write(made.model_copy(update={"verified": digest}))


def export_model(project: Project, name: str, log: Log) -> Path:
    """Export one model as the project says, and record what it was made of.

    Returns the bundle's folder. Raises ExportError and UsageError as `portproof.export` does.
    """
    from portproof.exporting import export_source
    from portproof.formats.table import select
    from portproof.sources.examples import read_examples, read_labels
    from portproof.sources.opening import make_source

    settings, root = project.models[name], project.root
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    model = settings.source if is_reference(settings.source) else str(root / settings.source)
    source = make_source(
        model,
        name=name,
        signatures=settings.signatures or None,
        inputs=read_examples(root / settings.inputs) if settings.inputs else None,
        labels={output: read_labels(root / file) for output, file in settings.labels.items()},
        imports=settings.imports,
    )
    formats = settings.formats or None
    bundle = export_source(source, project.bundle(name), log, select(formats), formats or ())
    Exporting(project, name).note()
    return bundle.path


def verify_models(
    project: Project, names: Sequence[str], options: VerifyOptions, callbacks: Callbacks
) -> Report:
    """Verify some models' bundles with the project's targets and floors, and record that.

    A verification that is narrowed to some runtimes is no record of all.
    """
    settings = {name: project.models[name] for name in names}
    options = replace(
        options,
        targets={name: one.targets for name, one in settings.items() if one.targets},
        floors={name: project.floors(name) for name in names},
    )
    report = verify_bundles([str(project.bundle(name)) for name in names], options, callbacks)
    if not options.runtimes:
        here = runtimes_here()
        for name in names:
            if name in report.bundle:
                note_verified(project, name, Bundle.open_unchecked(project.bundle(name)), here)
    return report


def runtimes_here() -> list[str]:
    """The runtimes that are here, each with its version and environment."""
    states = (state for state in runtime_states() if not state.missing and "@" not in state.name)
    return [f"{s.name} {s.version} {s.folder.name if s.folder else ''}" for s in states]


def bundles_of(project: Project, names: Sequence[str]) -> list[str]:
    """The models of a project that are meant: by their name or their bundle's folder; of none, all.

    Empty where something else is meant.
    """
    folders = {str(project.bundle(name)): name for name in project.models}
    meant = [
        name if name in project.models else folders.get(str(Path(name).resolve()), "")
        for name in names or project.models
    ]
    return meant if all(meant) else []
