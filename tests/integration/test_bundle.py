"""A bundle whose files are not those of its manifest is refused before anything parses it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import portproof
from portproof.bundle import atomic
from portproof.bundle.bundle import CARD, MANIFEST, PAGE, REPORT, Bundle
from portproof.bundle.errors import BundleError
from portproof.bundle.report import Report


@pytest.fixture
def copy(bundles: dict[str, Bundle], tmp_path: Path) -> Path:
    return shutil.copytree(bundles["quadratic"].path, tmp_path / "quadratic")


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def every_file(bundle: Bundle) -> list[str]:
    return [file.path for file in bundle.manifest.files]


def test_every_file_is_in_the_manifest(bundles: dict[str, Bundle]) -> None:
    for bundle in bundles.values():
        files = {
            p.relative_to(bundle.path).as_posix() for p in bundle.path.rglob("*") if p.is_file()
        }
        assert files - {MANIFEST, REPORT, PAGE, CARD} == set(every_file(bundle))


@pytest.mark.parametrize("damage", [flip, Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_changed_or_missing_file_is_refused_by_name(
    copy: Path, damage: Callable[[Path], None]
) -> None:
    for name in every_file(Bundle.open(copy)):
        content = (copy / name).read_bytes()
        damage(copy / name)
        with pytest.raises(BundleError, match=name.replace(".", r"\.")):
            Bundle.open(copy)
        (copy / name).write_bytes(content)
    Bundle.open(copy)


def test_an_added_file_is_refused(copy: Path) -> None:
    (copy / "savedmodel" / "assets.extra").mkdir()
    (copy / "savedmodel" / "assets.extra" / "more").write_text("x")
    with pytest.raises(BundleError, match=r"assets\.extra/more is not in"):
        Bundle.open(copy)


def test_a_link_out_of_the_bundle_is_refused(copy: Path, tmp_path: Path) -> None:
    file = copy / "tflite" / "quadratic.tflite"
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleError, match=r"quadratic\.tflite"):
        Bundle.open(copy)


@pytest.mark.parametrize("path", ["../outside", "/etc/hostname"])
def test_a_path_out_of_the_bundle_is_refused(copy: Path, path: str) -> None:
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["artifacts"][0]["files"][0]["path"] = path
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="outside the bundle"):
        Bundle.open(copy)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "damaged"),
        ("[]", "damaged"),
        ("{}", "schema|model"),
        ('{"schema": "portproof/manifest/99"}', "schema"),
    ],
)
def test_a_damaged_manifest_is_refused(copy: Path, content: str, message: str) -> None:
    (copy / "manifest.json").write_text(content)
    with pytest.raises(BundleError, match=message):
        Bundle.open(copy)


def test_the_error_for_a_missing_bundle_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="portproof export"):
        Bundle.open(tmp_path)


def fill(folder: Path, content: str) -> None:
    """Replace a folder. A lone surrogate as content fails midway, for it has no UTF-8 form."""
    with atomic.folder(folder) as staging:
        (staging / "file").write_text(content, encoding="utf-8")


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "target"
    fill(target, "first")
    with pytest.raises(UnicodeEncodeError):
        fill(target, "\ud800")
    assert (target / "file").read_text() == "first"
    fill(target, "second")
    assert (target / "file").read_text() == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_a_folder_left_between_two_renames_is_restored(tmp_path: Path) -> None:
    target = tmp_path / "target"
    fill(target, "first")
    target.rename(
        tmp_path / ".target.previous"
    )  # as a process killed between the renames leaves it
    with pytest.raises(UnicodeEncodeError):
        fill(target, "\ud800")
    assert (target / "file").read_text() == "first"


def test_a_text_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "file"
    atomic.write_text(target, "first")
    with pytest.raises(UnicodeEncodeError):
        atomic.write_text(target, "\ud800")
    assert target.read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("path", "../outside.tflite"), ("path", "/etc/hostname"), ("path", "vectors"), ("path", "")],
)
def test_an_endpoint_outside_the_artifacts_own_files_is_refused(
    copy: Path, field: str, value: str
) -> None:
    manifest = json.loads((copy / "manifest.json").read_text())
    [tflite] = [a for a in manifest["artifacts"] if (a["format"], a["variant"]) == ("tflite", "")]
    tflite["endpoints"]["serving_default"][field] = value
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="is no file of tflite"):
        Bundle.open(copy)


def test_a_linked_folder_is_refused(copy: Path) -> None:
    (copy / "savedmodel" / "assets.extra").symlink_to("/etc")
    with pytest.raises(BundleError, match=r"assets\.extra is not in"):
        Bundle.open(copy)


def test_nothing_beside_a_refused_bundle_says_that_it_is_proven(
    copy: Path, bundles: dict[str, Bundle]
) -> None:
    assert portproof.verify(copy, runtimes=["litert"]).ok
    assert "✅" in (copy / CARD).read_text()
    flip(copy / "tflite" / "quadratic.tflite")
    report = portproof.verify(bundles["my_module"].path, copy, runtimes=["litert"])
    assert not report.ok
    written = Report.model_validate_json((copy / REPORT).read_bytes())
    assert not written.ok
    assert [*written.bundle, *written.cells, *written.curves] == []
    assert list(written.refused) == [str(copy)]
    assert not (copy / PAGE).exists()
    assert "✅" not in (copy / CARD).read_text()
