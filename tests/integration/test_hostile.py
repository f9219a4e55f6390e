"""Some of the hostile inputs, and that the corpus would see an escape. All: `make hostile`."""

from dataclasses import replace
from pathlib import Path

import pytest

from portproof.sandbox.sandbox import obstacle
from verify.hostile.__main__ import all_cases, make_bases
from verify.hostile.draft import Bases
from verify.hostile.run import run

CASES = {f"{case.group}: {case.name}": case for case in all_cases()}
CHOSEN = (
    "manifest: a pipe",
    "manifest: nested deeply",
    "manifest: a name with an escape sequence",
    "manifest: a shape of 10^30",
    "manifest: a budget of -1000 dB of a plain file",
    "files: README.md is a link to a secret",
    "files: README.md is a link to /dev/zero",
    "files: report.json is a pipe",
    "vectors: a name with a line of its own",
    "files: tflite: a link to its bytes",
    "vectors: inputs that are all 1",
    "vectors: one row in each case",
    "vectors: one file for every case",
    "vectors: bounds of 3e38, and a reference off by 10^6",
    "vectors: a reference 7 times off",
    "vectors: a tensor of float8",
    "vectors: a sparse file of 6 GiB",
    "models: a config of 1 GiB",
    "models: a config that is nested deeply",
    "models: locked with a password",
    "models: named ..keras",
    "inputs: an .npz of 4 TiB",
    "inputs: a pipe",
    "releases: a statement that is a list",
    "servers: drips",
    "servers: never ends",
    "arguments: a report into /dev/full",
    "graphs at export: copies the variables",
    "graphs at export: writes to its standard input",
    "graphs from elsewhere: reads the variables",
)

pytestmark = pytest.mark.skipif(bool(obstacle()), reason=f"no sandbox here: {obstacle()}")


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Bases:
    return make_bases(tmp_path_factory.mktemp("bases"))


def test_hostile_inputs_end_in_a_line_and_leave_nothing(bases: Bases, tmp_path: Path) -> None:
    results = run([CASES[name] for name in CHOSEN], bases, tmp_path, 2)
    assert {r.hostile.name: r.problems for r in results if r.problems} == {}


def test_the_corpus_sees_an_escape(bases: Bases, tmp_path: Path) -> None:
    """With `--trust` the model is not confined, and every canary tells."""
    case = CASES["graphs at export: copies the variables"]

    def trusted(folder: Path, bases: Bases) -> list[str]:
        return [*case.build(folder, bases), "--trust"]

    [result] = run([replace(case, build=trusted)], bases, tmp_path, 1)
    assert "a file was written outside" in result.problems


def test_there_are_enough_of_them() -> None:
    assert len(CASES) >= 200
    assert len(CASES) == len(all_cases())
