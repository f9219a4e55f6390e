"""What is published of a bundle: its files, their digests, what was verified, and a signature."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundle import digest
from bundle.bundle import MANIFEST, PAGE, REPORT, Bundle
from bundle.card import CARD
from bundle.errors import BundleError, UsageError
from bundle.publishing import signing

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
    """What does not change of a version: the bundle's digest, and what is said of it."""

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
        found = [path for path in digest.paths_in(self.folder) if path not in last]
        return [*sorted(found), *(name for name in last if (self.folder / name).is_file())]


def prepare(
    bundle: Bundle, folder: Path, version: str, key: Path | None, *, unverified: bool
) -> Release:
    """Put a bundle's release together in `folder`.

    `version` is by default the first 16 digits of the bundle's digest. `key` is a private EC key
    (P-256, P-384 or P-521) in PEM. Raises UsageError where the bundle has no report that proves
    exactly these files, unless that is known to be so.
    """
    model, version = bundle.manifest.model, version or bundle.digest[:16]
    for what, name in (("version", version), ("model's name", model)):
        if not is_name(name):
            raise UsageError(f"a {what} is letters, digits, dots and hyphens, and {name!r} is not.")
    for name in [MANIFEST, *(file.path for file in bundle.manifest.files)]:
        _copy(bundle.path / name, folder / name)
    for name in (REPORT, PAGE, CARD):
        if (bundle.path / name).is_file():
            _copy(bundle.path / name, folder / name)
    # What was copied is what is published: the bundle may be exported again meanwhile.
    if Bundle.open(folder).digest != bundle.digest:
        raise BundleError(f"{bundle.path} was changed while it was read: publish it again.")
    report = _report(folder)
    missing = _missing(bundle, report)
    if missing and not unverified:
        raise UsageError(
            f"{bundle.path} is not published: {missing}. Run `portproof verify {bundle.path}`, or "
            "publish it as it is with --unverified, which is recorded."
        )
    told = _statement(bundle, version, None if missing else report)
    statement = json.dumps(told, sort_keys=True).encode()
    (folder / STATEMENT).write_bytes(signing.envelope(statement, key) if key else statement)
    sums = [
        f"{digest.of_file(folder / path)}  {path}\n" for path in sorted(digest.paths_in(folder))
    ]
    (folder / SUMS).write_text("".join(sums), encoding="utf-8")
    if key:
        signing.sign(folder, folder / SIGNATURE, key)
    return Release(model, version, folder, Published(bundle.digest, not missing, bool(key)))


def is_name(name: str) -> bool:
    """Whether a name is one in every file system and registry, and leads nowhere else."""
    return bool(_NAME.fullmatch(name)) and name != INDEX


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _report(folder: Path) -> dict[str, Any] | None:
    try:
        found = json.loads((folder / REPORT).read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _missing(bundle: Bundle, report: dict[str, Any] | None) -> str:
    """Why a report is no proof of a bundle; nothing where it is one."""
    if report is None:
        return "it has no report"
    try:
        return _unproven(bundle, report)
    except (AttributeError, KeyError, TypeError):
        return "its report is damaged"


def _unproven(bundle: Bundle, report: dict[str, Any]) -> str:
    if report.get("bundle", {}).get(bundle.manifest.model) != bundle.digest:
        return "its report is of other files"
    if report.get("interrupted"):
        return "its verification was interrupted"
    if report.get("ok") is not True:
        return "its report does not say that it is proven"
    proven = {(c["format"], c["variant"]) for c in report["cells"] if c["verdict"] in _PASSING}
    for artifact in bundle.manifest.artifacts:
        if (artifact.format, artifact.variant) not in proven:
            return f"its report proves nothing of {artifact.name}"
    return ""


_PASSING = ("exact", "faithful", "close")


def _statement(bundle: Bundle, version: str, report: dict[str, Any] | None) -> dict[str, Any]:
    """An in-toto statement: these files, and what was run of them, where, with which verdicts.

    Without a report that nothing was.
    """
    files = [(MANIFEST, bundle.digest), *((f.path, f.sha256) for f in bundle.manifest.files)]
    names = ("model", "format", "variant", "runtime", "signature", "output", "regime", "verdict")
    cells = report["cells"] if report else []
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": sha}} for name, sha in files],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "model": bundle.manifest.model,
            "version": version,
            "result": "PASSED" if report else "UNVERIFIED",
            "strict": bool(report and report.get("strict")),
            "environment": report.get("environment") if report else None,
            "cells": [{name: cell[name] for name in names} for cell in cells],
        },
    }


def check(folder: Path, key: Path | None, version: str = "") -> None:
    """Hold a fetched release against its signature, then its sums, before anything parses it.

    Without a `key` the signature is not checked. `version` is the one that was asked for: a signed
    release of another one is not it. Raises BundleError.
    """
    if key:
        if not (folder / SIGNATURE).is_file():
            raise BundleError("the bundle is not signed, and --key asks for its signature.")
        signing.verify(folder, folder / SIGNATURE, key)
    listed = dict(sums(folder))
    for path, sha256 in listed.items():
        if not (folder / path).is_file() or digest.of_file(folder / path) != sha256:
            raise BundleError(f"{path} is not the file that was published: its SHA-256 differs.")
    for path in digest.paths_in(folder):
        if path not in listed and path not in (SUMS, SIGNATURE):
            raise BundleError(f"{path} is not in {SUMS}: it was not published.")
    said = signing.opened((folder / STATEMENT).read_bytes(), key)["predicate"]
    if version and said.get("version") != version:
        raise BundleError(f"this is version {said.get('version')}, and {version} was asked for.")


def sums(folder: Path) -> Iterator[tuple[str, str]]:
    """The published files and their SHA-256. Raises BundleError where a line is no such thing."""
    for line in (folder / SUMS).read_text(encoding="utf-8").splitlines():
        yield parse(line)


def is_inside(path: str) -> bool:
    """Whether a relative path stays where it is put, on any system."""
    parts = path.split("/")
    return not {"", ".", ".."}.intersection(parts) and not set(path) & {"\\", ":", "\0"}


def parse(line: str) -> tuple[str, str]:
    """A line of the sums: a path inside the folder, and its SHA-256. Raises BundleError."""
    sha256, _, path = line.partition("  ")
    if len(sha256) != 64 or not is_inside(path):
        raise BundleError(f"{SUMS} is damaged at: {line[:80]}")
    return path, sha256
