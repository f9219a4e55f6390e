"""A part of the corpus: two of the architectures that `make faults` measures."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import REPOSITORY
from verify.faults import tolerances
from verify.faults.examine import JUDGES, PORTPROOF
from verify.faults.results import Results
from verify.faults.run import run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder: Path = tmp_path_factory.mktemp("faults")
    return run(["softmax", "integers"], folder, log=lambda _: None)


def test_every_fault_that_float32_can_show_is_caught(results: Results) -> None:
    assert len(results.detectable) > 60
    assert results.meets_expectations(), [*results.misses, *results.false_alarms]
    assert len(results.misses) < len(results.detectable) / 10


def test_no_harmless_rewrite_is_flagged(results: Results) -> None:
    assert len(results.judged_rewrites) > 40
    assert not results.false_alarms
    # Nor nearly flagged: right outputs are well within their bounds.
    faithful = [rewrite for rewrite in results.judged_rewrites if rewrite.verdict == "faithful"]
    assert max(rewrite.bound_ratio for rewrite in faithful) < 0.75
    assert max(rewrite.mean_share for rewrite in faithful) < 0.75


def test_common_tolerances_make_more_errors(results: Results) -> None:
    """Otherwise the corpus would be too coarse to tell them apart."""

    def errors(judge: str) -> int:
        missed = sum(judge not in fault.caught_by for fault in results.detectable)
        return missed + sum(judge in rewrite.flagged_by for rewrite in results.judged_rewrites)

    assert all(errors(PORTPROOF) < errors(judge) for judge in JUDGES if judge != PORTPROOF)


def test_the_page_lists_every_miss_and_failure(results: Results) -> None:
    page = "\n".join(results.page())
    assert f"{len(results.detectable)} faults" in page
    for fault in [*results.misses, *results.equivalent]:
        assert str(fault) in page
    for rewrite in results.rewrites:
        if rewrite.verdict in ("wrong", "failed"):
            assert str(rewrite) in page


def test_empty_results_do_not_meet_expectations() -> None:
    assert not Results().meets_expectations()


def test_one_miss_or_one_false_alarm_does_not_meet_expectations(results: Results) -> None:
    caught = next(f for f in results.faults if f.title == "bias dropped")
    missed = replace(caught, caught_by=frozenset(), caught_in_deciding_by=frozenset())
    assert not Results([*results.faults, missed], results.rewrites).meets_expectations()
    flagged = replace(results.judged_rewrites[0], flagged_by=frozenset({PORTPROOF}))
    assert not Results(results.faults, [*results.rewrites, flagged]).meets_expectations()


def test_the_readme_quotes_the_committed_page() -> None:
    page = (REPOSITORY / "verify" / "faults" / "RESULTS.md").read_text()
    readme = " ".join((REPOSITORY / "README.md").read_text().split())
    row = re.search(r"\| Portproof \| (\d+ of \d+) \| .*? \| (\d+ of \d+) ", page)
    assert row
    caught, alarms = row.groups()
    assert f"{caught} faults" in readme
    assert f"{alarms} harmless rewrites" in readme


PAIRS = [
    ("numpy.allclose", 1e-6, True),
    ("numpy.allclose", 1e-4, False),
    ("atol 1e-3", 9e-4, True),
    ("atol 1e-3", 2e-3, False),
    ("cosine > 0.99", 0.05, True),
]


@pytest.mark.parametrize(("name", "error", "passes"), PAIRS)
def test_a_tolerance_accepts_and_rejects_by_its_definition(
    name: str, error: float, passes: bool
) -> None:
    reference = np.array([1.0, 1.0], np.float32)
    got = reference + np.array([error, 0], np.float32)
    assert (name not in tolerances.rejecting_tolerances(got, reference)) == passes
    assert tolerances.rejecting_tolerances(None, reference) == frozenset(tolerances.TOLERANCES)
