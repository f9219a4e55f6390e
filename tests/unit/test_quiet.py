"""What is said where TensorFlow is not installed, or too old to export."""

import re
import tomllib
from typing import Any

import pytest

from portproof import quiet
from portproof.bundle.errors import UsageError
from tests.conftest import REPOSITORY


def test_what_is_lacking_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_keras(name: str) -> Any:
        return None if name == "keras" else object()

    monkeypatch.setattr(quiet, "find_spec", without_keras)
    with pytest.raises(UsageError, match=r"needs keras: pip install 'portproof\[tensorflow\]'"):
        quiet.check_tensorflow()


@pytest.mark.parametrize(("installed", "ok"), [("2.15.1", False), ("2.16.0", True), ("2.22", True)])
def test_an_old_tensorflow_is_refused(
    installed: str, ok: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quiet, "find_spec", lambda _: object())
    monkeypatch.setattr(quiet, "version", lambda _: installed)
    if ok:
        quiet.check_tensorflow()
        return
    with pytest.raises(UsageError, match=re.escape(f"2.16 and newer, and {installed} is here")):
        quiet.check_tensorflow()


def test_the_oldest_is_that_of_the_extra() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    oldest = ".".join(map(str, quiet._OLDEST))
    assert f"tensorflow>={oldest}" in project["optional-dependencies"]["tensorflow"]
