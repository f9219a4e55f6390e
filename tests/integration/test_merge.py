"""`portproof merge`: one report of a bundle that was verified on several hosts."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import portproof
from portproof.bundle.bundle import CARD, PAGE, REPORT, Bundle
from portproof.publishing.release import STATEMENT
from tests.helpers.accessibility import findings


@pytest.fixture
def bundle(quadratic_in: Callable[[str], Path], tmp_path: Path) -> Path:
    return shutil.copytree(quadratic_in("tflite"), tmp_path / "quadratic")


def command(*words: str | Path, host: str = "desk") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "portproof", *map(str, words)],
        env={**os.environ, "PORTPROOF_HOST": host, "COLUMNS": "100"},
        capture_output=True,
        text=True,
        check=False,
    )


def verified(bundle: Path, host: str, *runtimes: str) -> Path:
    """The report of a bundle on a host."""
    file = bundle.with_name(f"{host}.json")
    named = [word for name in runtimes for word in ("--runtime", name)]
    done = command("verify", bundle, "--json", file, *named, host=host)
    assert done.returncode == 0, done.stderr
    return file


def test_one_report_of_two_hosts_is_shown_written_and_published(bundle: Path) -> None:
    board = verified(bundle, "board", "litert")
    (bundle / REPORT).unlink()
    verified(bundle, "desk", "litert", "tensorflow")
    done = command("merge", bundle, board)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "litert on desk" in done.stdout
    assert "litert on board" in done.stdout
    written = json.loads((bundle / REPORT).read_text())
    assert set(written["hosts"]) == {"desk", "board"}
    assert {cell["host"] for cell in written["cells"]} == {"desk", "board"}
    assert "litert on board" in (bundle / PAGE).read_text()
    assert "litert on board" in (bundle / CARD).read_text()
    release = portproof.publish(bundle, str(bundle.parent / "published"))
    predicate = json.loads(Path(release, STATEMENT).read_text())["predicate"]
    assert predicate["result"] == "PASSED"
    assert set(predicate["hosts"]) == {"desk", "board"}
    assert {cell["host"] for cell in predicate["cells"]} == {"desk", "board"}


def test_a_merged_page_with_long_names_fits_a_phone(bundle: Path) -> None:
    board = verified(bundle, "android-chrome-147-of-the-lab", "litert", "litert-reference")
    (bundle / REPORT).unlink()
    verified(bundle, "desk", "litert", "litert-reference")
    assert command("merge", bundle, board).returncode == 0
    assert findings((bundle / PAGE).as_uri()) == []


def test_a_narrow_verification_keeps_what_was_merged(bundle: Path) -> None:
    board = verified(bundle, "board", "litert")
    (bundle / REPORT).unlink()
    verified(bundle, "desk", "litert", "tensorflow")
    assert command("merge", bundle, board).returncode == 0
    before = json.loads((bundle / REPORT).read_text())
    verified(bundle, "desk", "litert")
    after = json.loads((bundle / REPORT).read_text())
    assert set(after["hosts"]) == {"desk", "board"}

    def ran(report: dict[str, Any]) -> set[tuple[str, str]]:
        return {(cell["runtime"], cell["host"]) for cell in report["cells"]}

    assert ran(after) == ran(before)


def test_a_report_of_earlier_files_is_not_the_bundles(bundle: Path) -> None:
    file = verified(bundle, "desk", "litert")
    (bundle / REPORT).unlink()
    file.write_text(file.read_text().replace(Bundle.open(bundle).digest, "0" * 64))
    done = command("merge", bundle, file)
    assert done.returncode == 2
    assert "is of other files" in done.stderr
    assert not (bundle / REPORT).exists()


def test_a_conflict_is_shown_first(bundle: Path) -> None:
    desk, board = verified(bundle, "desk", "litert"), verified(bundle, "board", "litert")
    content = json.loads(board.read_text())
    for cell in content["cells"]:
        cell |= {"verdict": "wrong", "detail": "off by a lot"}
    board.write_text(json.dumps(content))
    done = command("merge", desk, board)
    assert done.returncode == 1
    first = done.stdout.splitlines()[0]
    assert first.startswith("conflict tflite in litert is proven on desk, and wrong on board: off")


def test_what_cannot_be_merged_is_one_line(bundle: Path) -> None:
    report = verified(bundle, "desk", "litert")
    (bundle / REPORT).unlink()
    content = json.loads(report.read_text())
    content["bundle"] = {"quadratic": "0" * 64}
    other = report.with_name("other.json")
    other.write_text(json.dumps(content))
    nothing = report.with_name("nothing.json")
    nothing.write_text("{}")
    for words, reason in (
        ([report, other], "is of another bundle of quadratic"),
        ([report, nothing], "is no report: "),
        ([report, report.with_name("none.json")], "cannot be read"),
        ([report.parent], "is no bundle"),
    ):
        done = command("merge", *words)
        assert done.returncode == 2, words
        assert reason in done.stderr
        assert "Traceback" not in done.stderr
