"""What is published of a bundle: its files, their digests, what was verified, and a signature."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from portproof.bundle.archives import is_inside
from portproof.bundle.bundle import CARD, MANIFEST, PAGE, REPORT, Bundle
from portproof.bundle.digest import paths_in, sha256_of
from portproof.bundle.errors import BundleError, UsageError
from portproof.bundle.reading import (
    MANIFEST_LIMIT,
    STATEMENT_LIMIT,
    read_file,
)
from portproof.bundle.report import Report
from portproof.bundle.report_files import report_beside
from portproof.comparing.yardstick import CHECKS
from portproof.publishing import signing

# Every file of a release but this one and the signature, as `sha256sum --check` reads it.
SUMS = "SHA256SUMS"
SIGNATURE = "model.sig"
STATEMENT = "verification.intoto.json"
# https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:portproof:verification:1"
# What a registry takes for a tag (OCI distribution specification).
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
INDEX = "index.json"


@dataclass(frozen=True)
class Published:
    """The properties of a version that never change."""

    digest: str
    verified: bool
    signed: bool


@dataclass(frozen=True)
class Release:
    """A bundle that may be published, as a folder that holds just what is published."""

    model: str
    version: str
    folder: Path
    state: "Published"

    @property
    def files(self) -> list[str]:
        """The files in the order in which they are to arrive: the sums say that all are there."""
        last = (SIGNATURE, SUMS)
        others = [path for path in paths_in(self.folder) if path not in last]
        return [*sorted(others), *(name for name in last if (self.folder / name).is_file())]


def prepare_release(
    bundle: Bundle, folder: Path, version: str, key: Path | None, *, unverified: bool
) -> Release:
    """Put a bundle's release together in `folder`.

    `version` is by default the first 16 digits of the bundle's digest. `key` is a private EC key
    (P-256, P-384 or P-521) in PEM. Raises UsageError where the bundle has no report that proves
    exactly these files, unless `unverified`.
    """
    model, version = bundle.manifest.model, version or bundle.digest[:16]
    for kind, name in (("version", version), ("model's name", model)):
        if not is_name(name):
            raise UsageError(f"a {kind} is letters, digits, dots and hyphens, and {name!r} is not.")
    for name in [MANIFEST, *(file.path for file in bundle.manifest.files)]:
        _copy(bundle.path / name, folder / name)
    for name in (REPORT, PAGE, CARD):
        if (bundle.path / name).is_file():
            _copy(bundle.path / name, folder / name)
    # What was copied is what is published: the bundle may be exported again meanwhile.
    if Bundle.open(folder).digest != bundle.digest:
        raise BundleError(f"{bundle.path} was changed while it was read: publish it again.")
    report = report_beside(folder)
    unproven = _why_unproven(bundle, report)
    if unproven and not unverified:
        raise UsageError(
            f"{bundle.path} is not published: {unproven}. Run `portproof verify {bundle.path}`, or "
            "publish it as it is with --unverified, which is recorded."
        )
    content = _statement(bundle, version, None if unproven else report)
    statement = json.dumps(content, sort_keys=True).encode()
    (folder / STATEMENT).write_bytes(signing.envelope(statement, key) if key else statement)
    sums = [f"{sha256_of(folder / path)}  {path}\n" for path in sorted(paths_in(folder))]
    (folder / SUMS).write_text("".join(sums), encoding="utf-8")
    if key:
        signing.sign(folder, folder / SIGNATURE, key)
    return Release(model, version, folder, Published(bundle.digest, not unproven, bool(key)))


def is_name(name: str) -> bool:
    """Whether a name is one in every file system and registry, and leads nowhere else."""
    return bool(_NAME.fullmatch(name)) and name != INDEX


def _copy(source: Path, target: Path) -> None:
    if source.is_symlink():  # to a file that nobody meant to publish
        raise BundleError(f"{source} is a link: put the file itself there.")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _why_unproven(bundle: Bundle, report: Report | None) -> str:
    """Why a report is no proof of a bundle; nothing where it is one."""
    if report is None:
        return "it has no report, or one that cannot be read"
    if report.bundle.get(bundle.manifest.model) != bundle.digest:
        return "its report is of other files"
    if report.interrupted:
        return "its verification was interrupted"
    # Not `report.ok` alone, which is only what the file says.
    if not report.ok or report.exit_status != 0:
        return f"its report does not say that it is proven{_first_reason(report)}"
    proven = {(cell.format, cell.variant) for cell in report.cells if cell.passed}
    for artifact in bundle.manifest.artifacts:
        if (artifact.format, artifact.variant) not in proven:
            return f"its report proves nothing of {artifact.name}"
    return ""


def _first_reason(report: Report) -> str:
    """` (tflite int8 in litert: wrong: ...)`, or nothing where the report names none."""
    told = [f"{c.full_format} in {c.place} is {c.verdict}: {c.detail}" for c in report.failures]
    reasons = [*report.refused.values(), *told, *report.unproven, *report.unchecked]
    return f" ({reasons[0][:200]})" if reasons else ""


# The fields of a cell that the statement has.
_CELL_FIELDS = {
    "model",
    "format",
    "variant",
    "runtime",
    "host",
    "signature",
    "output",
    "regime",
    "verdict",
}


def _statement(bundle: Bundle, version: str, report: Report | None) -> dict[str, Any]:
    """An in-toto statement: these files, what was run of them, where, with which verdicts.

    Without a report it says that nothing was verified.
    """
    files = [(MANIFEST, bundle.digest), *((f.path, f.sha256) for f in bundle.manifest.files)]
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": sha}} for name, sha in files],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "model": bundle.manifest.model,
            "version": version,
            "result": "PASSED" if report else "UNVERIFIED",
            "strict": bool(report and report.strict),
            # Whose numbers the references are: the original model's, or of a file without one a
            # runtime's.
            "references": str(bundle.manifest.held_to or "the original model"),
            # What the test vectors were held to, and by signature where they fall short of it.
            "test_vectors": {
                "checked": list(CHECKS),
                "shortcomings": report.shortcomings if report else None,
            },
            "environment": report.environment.model_dump() if report else None,
            # Of a merged report, every host by the name that cells have.
            "hosts": {h: e.model_dump() for h, e in report.hosts.items()} if report else {},
            "cells": [c.model_dump(include=_CELL_FIELDS) for c in report.cells] if report else [],
        },
    }


def check_release(folder: Path, key: Path | None, version: str = "") -> None:
    """Check a fetched release's signature, then its sums, before anything parses it.

    Without a `key` the signature is not checked. `version` is the one that was asked for: a signed
    release of another one is not it. Raises BundleError.
    """
    if key:
        if not (folder / SIGNATURE).is_file():
            raise BundleError("the bundle is not signed, and --key asks for its signature.")
        signing.verify(folder, folder / SIGNATURE, key)
    listed = dict(read_sums(folder))
    for path, sha256 in listed.items():
        if not (folder / path).is_file() or sha256_of(folder / path) != sha256:
            raise BundleError(f"{path} is not the file that was published: its SHA-256 differs.")
    for path in paths_in(folder):
        if path not in listed and path not in (SUMS, SIGNATURE):
            raise BundleError(f"{path} is not in {SUMS}: it was not published.")
    try:
        content = read_file(folder / STATEMENT, STATEMENT_LIMIT)
    except OSError as error:
        raise BundleError(f"the statement {STATEMENT} cannot be read: {error.strerror}.") from None
    statement = signing.read_statement(content, key)
    released = statement["predicate"].get("version")
    if version and released != version:
        raise BundleError(f"this is version {released}, and {version} was asked for.")


def read_sums(folder: Path) -> Iterator[tuple[str, str]]:
    """The published files and their SHA-256. Raises BundleError where a line is damaged."""
    try:
        content = read_file(folder / SUMS, MANIFEST_LIMIT)
    except OSError as error:
        raise BundleError(f"{SUMS} cannot be read: {error.strerror}.") from None
    for line in content.decode(errors="replace").splitlines():
        yield parse_sum(line)


def parse_sum(line: str) -> tuple[str, str]:
    """A line of the sums: a path inside the folder, and its SHA-256. Raises BundleError."""
    sha256, _, path = line.partition("  ")
    if len(sha256) != 64 or not is_inside(path):
        raise BundleError(f"{SUMS} is damaged at: {line[:80]}")
    return path, sha256
