"""The types of the public API are checked in a user's own code."""

import subprocess
import sys
from pathlib import Path

from tests.conftest import PACKAGE, REPOSITORY


def test_a_users_file_is_checked_against_the_public_api(tmp_path: Path) -> None:
    script = tmp_path / "api.py"
    script.write_text((REPOSITORY / "tests" / "typing" / "api.py").read_text())
    # In a folder without this repository's settings, as a user's would be.
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", script.name]
    command += ["--cache-dir", str(tmp_path / "cache"), "--config-file="]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_package_says_that_it_is_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()
