"""The documents as a site: every link and anchor leads somewhere, and everyone can read it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.helpers.accessibility import findings

# A page with tables, one with code, the first one, and a long one made by a program.
PAGES = ("README", "docs/own-model", "docs/verdicts", "docs/versions")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    build = ["-m", "sphinx", "-W", "--keep-going", "-q", "-c", "docs", "-b", "html", "."]
    done = subprocess.run(
        [sys.executable, *build, str(folder)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_every_document_is_a_page_and_in_the_menu(site: Path) -> None:
    menu = (site / "README.html").read_text()
    for document in (REPOSITORY / "docs").glob("*.md"):
        assert (site / "docs" / f"{document.stem}.html").is_file()
        assert f"docs/{document.stem}.html" in menu


def test_axe_finds_nothing_serious(site: Path) -> None:
    assert findings(*((site / f"{page}.html").as_uri() for page in PAGES)) == []
