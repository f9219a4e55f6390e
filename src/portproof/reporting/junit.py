"""A report as JUnit XML: a test case for each cell."""

import re
from collections.abc import Iterator
from typing import Any

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from portproof.bundle.report import Cell, Report

# Characters that XML 1.0 cannot carry (section 2.2): a runner's error may have colours in it.
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render_junit(report: Report) -> str:
    """What does not count (an edge, an absent runtime) is skipped with its reason, never passed.

    A bundle that was refused, and whatever was requested and not checked, is an error.
    """
    xml: Any = JUnitXml("portproof")
    failures = {id(cell) for cell in report.failures}
    for model in report.bundle:
        suite = TestSuite(model)
        cells = [cell for cell in report.cells if cell.model == model]
        suite.add_testcases([_case(cell, counts=id(cell) in failures) for cell in cells])
        xml.add_testsuite(suite)
    if problems := list(_problems(report)):
        suite = TestSuite("portproof")
        suite.add_testcases([_error(name, reason) for name, reason in problems])
        xml.add_testsuite(suite)
    xml.update_statistics()
    return str(xml.tostring().decode())


def _case(cell: Cell, *, counts: bool) -> TestCase:
    case = TestCase(
        f"{cell.signature}.{cell.output} {cell.regime}",
        f"{cell.model}.{cell.full_format} in {cell.runtime}",
        cell.seconds,
    )
    message = _UNPRINTABLE.sub("?", f"{cell.verdict}: {cell.detail}")
    if counts:
        case.result = [Failure(message, cell.verdict)]
    elif not cell.passed:
        case.result = [Skipped(message if cell.verdict == "absent" else f"not counted: {message}")]
    elif cell.verdict == "close":
        case.system_out = message
    return case


def _problems(report: Report) -> Iterator[tuple[str, str]]:
    yield from report.refused.items()
    for line in report.unchecked:
        yield "not covered", line
    if report.interrupted:
        yield "interrupted", "Ctrl-C ended the verification: cells are missing"
    if not report.cells and not report.refused:
        yield "nothing compared", "the report has no cells"


def _error(name: str, reason: str) -> TestCase:
    case = TestCase(name, "portproof")
    case.result = [Error(_UNPRINTABLE.sub("?", reason))]
    return case
