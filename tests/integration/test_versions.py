"""docs/versions.md: every version that `make versions` tries is there, and what it says of one."""

import re

import pytest

import portproof
from portproof.bundle.bundle import Bundle
from portproof.runtimes.table import select
from tests.conftest import REPOSITORY
from verify.versions.run import FAMILIES, Family
from verify.versions.table import page

PAGE = (REPOSITORY / "docs" / "versions.md").read_text()


def rows(title: str) -> dict[str, list[str]]:
    """By version, the verdicts in the columns of a family's table."""
    [section] = re.findall(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)
    lines = re.findall(r"^\| (\d[\d.]*) \| (.+) \|$", section, re.M)
    return {version: verdicts.split(" | ") for version, verdicts in lines}


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_the_page_has_every_version_in_every_runtime(family: Family) -> None:
    table = rows(family.title)
    assert tuple(table) == family.versions
    for verdicts in table.values():
        assert len(verdicts) == len(family.runtimes)
        assert all(re.fullmatch(r"(\d+ [a-z]+(, )?)+", text) for text in verdicts)


def test_the_newest_version_is_the_default_one() -> None:
    for family in FAMILIES.values():
        for name in family.runtimes:
            [runtime] = select([name], [])
            assert runtime.environment
            assert runtime.environment.version == family.versions[-1]


def test_the_default_versions_prove_everything() -> None:
    for family in FAMILIES.values():
        for verdicts in rows(family.title)[family.versions[-1]]:
            assert not re.search("wrong|failed|absent", verdicts), (family.title, verdicts)


@pytest.mark.slow
def test_a_row_is_what_a_run_gives(bundles: dict[str, Bundle]) -> None:
    names = ["litert@1.4.0", "litert@99.0"]
    report = portproof.verify(bundles["my_module"].path, runtimes=names)
    family = FAMILIES["litert"]
    text = page({"litert": report})
    assert len(re.findall(r"^\| ", text, flags=re.MULTILINE)) == len(family.versions) + 2
    assert "| 1.4.0 | 2 exact |  |" in text
    assert "there is no version of ai-edge-litert==99.0" in text
