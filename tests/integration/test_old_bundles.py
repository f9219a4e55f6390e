"""Bundles of every schema that was released are read and verified; a newer one says what to do."""

import json
import re
import shutil
from pathlib import Path

import pytest

import portproof
from portproof.bundle.bundle import MANIFEST, REPORT, Bundle
from portproof.bundle.errors import BundleError, UsageError
from portproof.bundle.manifest import SCHEMA
from portproof.bundle.report import SCHEMA as REPORT_SCHEMA
from tests.helpers.old_bundles import FOLDER, FORMATS, RUNTIMES

KEPT = sorted(FOLDER.glob("schema-*.zip"))
FIRST_RELEASED = 4


@pytest.fixture(params=KEPT, ids=lambda path: path.stem)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    shutil.unpack_archive(request.param, tmp_path)
    return tmp_path / "small"


def test_every_released_schema_is_kept() -> None:
    newest = int(SCHEMA.rpartition("/")[2])
    wanted = [f"schema-{number}" for number in range(FIRST_RELEASED, newest + 1)]
    assert [path.stem for path in KEPT] == wanted


def test_an_old_bundle_is_proven(old: Path) -> None:
    report = portproof.verify(old, runtimes=RUNTIMES)
    assert report.exit_status == 0, report.failures
    proven = {cell.full_format for cell in report.cells if cell.passed}
    assert proven == {"savedmodel", *FORMATS}
    assert {cell.runtime for cell in report.cells if cell.passed} == set(RUNTIMES)


def test_an_old_report_is_read_and_published(old: Path, tmp_path: Path) -> None:
    address = portproof.publish(old, str(tmp_path / "published"))
    assert Path(address.removeprefix("file://"), MANIFEST).is_file()
    assert portproof.merge(old / REPORT).ok


def _with_schema(path: Path, schema: str) -> None:
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "schema": schema, "new": 1}))


def test_a_newer_bundle_says_what_to_install(old: Path) -> None:
    _with_schema(old / MANIFEST, "portproof/manifest/99")
    told = r"manifest\.json cannot be read: it is of schema 99, .* pip install --upgrade portproof"
    with pytest.raises(BundleError, match=told):
        Bundle.open(old)


def test_a_newer_report_says_what_to_install(old: Path) -> None:
    _with_schema(old / REPORT, "portproof/report/99")
    with pytest.raises(UsageError, match=r"schema 99, .* pip install --upgrade portproof"):
        portproof.merge(old / REPORT)


def test_a_field_that_is_not_known_is_refused(old: Path) -> None:
    for name, error in ((MANIFEST, BundleError), (REPORT, UsageError)):
        document = json.loads((old / name).read_text())
        (old / name).write_text(json.dumps({**document, "new": 1}))
        with pytest.raises(error, match="new: Extra inputs are not permitted"):
            portproof.merge(old if name == MANIFEST else old / REPORT)


def test_what_was_never_released_says_to_export_again(old: Path) -> None:
    _with_schema(old / MANIFEST, "portproof/manifest/2")
    with pytest.raises(BundleError, match="schema 2, which no release wrote: export the model"):
        Bundle.open(old)


@pytest.mark.parametrize("schema", ["", "x", "portproof/manifest/4x", "portproof/report/9"])
def test_what_is_no_manifest_is_damaged(schema: str, old: Path) -> None:
    _with_schema(old / MANIFEST, schema)
    with pytest.raises(BundleError, match="is damaged"):
        Bundle.open(old)


def test_the_description_names_the_schemas() -> None:
    described = (FOLDER.parents[2] / "artifacts" / "README.md").read_text()
    assert SCHEMA in described
    assert REPORT_SCHEMA in described
    policy = (FOLDER.parents[2] / "docs" / "compatibility.md").read_text()
    assert re.search(rf"`{re.escape(SCHEMA)}`", policy)
