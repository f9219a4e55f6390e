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
_VERSION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True)
class Release:
    """A bundle that may be published, as a folder that holds just what is published."""

    model: str
    version: str
    digest: str
    verified: bool
    folder: Path

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
    version = version or bundle.digest[:16]
    if not _VERSION.fullmatch(version):
        raise UsageError(f"a version is letters, digits, dots and hyphens, and {version!r} is not.")
    report = _report(bundle)
    verified = report is not None and not _missing(bundle, report)
    if not verified and not unverified:
        raise UsageError(
            f"{bundle.path} is not published: {_missing(bundle, report)}. Run `portproof verify "
            f"{bundle.path}`, or publish it as it is with --unverified, which is recorded."
        )
    for name in [MANIFEST, *(file.path for file in bundle.manifest.files)]:
        _copy(bundle.path / name, folder / name)
    for name in (REPORT, PAGE, CARD):
        if (bundle.path / name).is_file():
            _copy(bundle.path / name, folder / name)
    statement = json.dumps(_statement(bundle, report, verified=verified), sort_keys=True).encode()
    (folder / STATEMENT).write_bytes(signing.envelope(statement, key) if key else statement)
    sums = [
        f"{digest.of_file(folder / path)}  {path}\n" for path in sorted(digest.paths_in(folder))
    ]
    (folder / SUMS).write_text("".join(sums), encoding="utf-8")
    if key:
        signing.sign(folder, folder / SIGNATURE, key)
    return Release(bundle.manifest.model, version, bundle.digest, verified, folder)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _report(bundle: Bundle) -> dict[str, Any] | None:
    try:
        found = json.loads((bundle.path / REPORT).read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _missing(bundle: Bundle, report: dict[str, Any] | None) -> str:
    """Why a report is no proof of a bundle; nothing where it is one."""
    if report is None:
        return "it has no report"
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


def _statement(bundle: Bundle, report: dict[str, Any] | None, *, verified: bool) -> dict[str, Any]:
    """An in-toto statement: these files, and what was run of them, where, with which verdicts."""
    files = [(MANIFEST, bundle.digest), *((f.path, f.sha256) for f in bundle.manifest.files)]
    names = ("model", "format", "variant", "runtime", "signature", "output", "regime", "verdict")
    cells = report["cells"] if report and verified else []
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": sha}} for name, sha in files],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "result": "PASSED" if verified else "UNVERIFIED",
            "strict": bool(report and verified and report.get("strict")),
            "environment": report["environment"] if report and verified else None,
            "cells": [{name: cell[name] for name in names} for cell in cells],
        },
    }


def check(folder: Path, key: Path | None) -> None:
    """Hold a fetched release against its signature, then its sums, before anything parses it.

    Without a `key` the signature is not checked. Raises BundleError.
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


def sums(folder: Path) -> Iterator[tuple[str, str]]:
    """The published files and their SHA-256. Raises BundleError where a line is no such thing."""
    for line in (folder / SUMS).read_text(encoding="utf-8").splitlines():
        yield parse(line)


def parse(line: str) -> tuple[str, str]:
    """A line of the sums: a path inside the folder, and its SHA-256. Raises BundleError."""
    sha256, _, path = line.partition("  ")
    inside = path and not path.startswith("/") and ".." not in path.split("/")
    if len(sha256) != 64 or not inside:
        raise BundleError(f"{SUMS} is damaged at: {line[:80]}")
    return path, sha256
