"""A report as JUnit XML: a test case for each signature, artifact and runtime."""

import io
from collections.abc import Iterator
from typing import Any

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from portproof.bundle.report import Cell, Report
from portproof.bundle.text import for_xml, shortened
from portproof.reporting.causes import causes
from portproof.reporting.summary import deciding


def render_junit(report: Report) -> str:
    """Skipped is what does not count: what a runtime lacks, a runtime that is absent.

    A runtime that is absent and no target is left out where there are targets.

    A bundle that was refused, and whatever was requested and not checked, is an error.
    """
    xml: Any = JUnitXml("portproof")
    failures = {id(cell) for cell in report.failures}
    for model in report.bundle:
        suite = TestSuite(model)
        groups: dict[tuple[str, str, str], list[Cell]] = {}
        for cell in report.cells:
            if cell.model == model and not _is_idle(cell, report):
                key = (cell.full_format, cell.place, cell.signature)
                groups.setdefault(key, []).append(cell)
        for cells in groups.values():
            case = _case(cells, [cell for cell in cells if id(cell) in failures])
            _add_not_run(case, cells[0], report)
            suite.add_testcase(case)
        xml.add_testsuite(suite)
    if problems := list(_problems(report)):
        suite = TestSuite("portproof")
        suite.add_testcases([_error(name, reason) for name, reason in problems])
        xml.add_testsuite(suite)
    xml.update_statistics()
    content = io.BytesIO()
    xml.write(content, pretty=True)
    return content.getvalue().decode()


def _is_idle(cell: Cell, report: Report) -> bool:
    """Whether it is of a runtime that is not here, and that nobody ships to."""
    targets = report.targets.get(cell.model, ())
    return cell.verdict == "absent" and bool(targets) and cell.runtime not in targets


def _case(cells: list[Cell], failures: list[Cell]) -> TestCase:
    """One signature of one artifact in one runtime: all its outputs, in all regimes."""
    first = cells[0]
    case = TestCase(
        first.signature,
        f"{first.model}.{first.full_format} in {first.place}",
        sum(cell.seconds or 0.0 for cell in cells),
    )
    counted = deciding(cells)
    others = [cell for cell in cells if not cell.passed]
    edge = [cell for cell in others if cell.regime == "edge"]
    if failures:
        case.result = [Failure(_told(failures), failures[0].verdict)]
    elif all(cell.verdict == "absent" for cell in cells):
        case.result = [Skipped(_told(cells))]
    elif others and not any(cell.passed for cell in counted):
        case.result = [Skipped(f"not counted: {_told(others)}")]
    else:
        noted = [cell for cell in counted if not cell.passed or cell.verdict == "close"]
        lines = [_told(noted), _told(edge, "edge, not counted: ")]
        if text := "\n".join(filter(None, lines)):
            case.system_out = text
    return case


def _add_not_run(case: TestCase, cell: Cell, report: Report) -> None:
    """Name in the case's output what its signature was not asked for there."""
    of = ("model", "format", "variant", "place", "signature")
    for entry in report.not_run:
        if all(getattr(entry, name) == getattr(cell, name) for name in of):
            line = for_xml(f"not run: {', '.join(entry.cases)}")
            case.system_out = "\n".join(filter(None, [case.system_out, line]))


def _told(cells: list[Cell], kind: str = "") -> str:
    """A line for each cause, each with its kind before it."""
    if cells and cells[0].verdict == "absent":
        return for_xml(f"absent: {cells[0].detail}")
    lines = (f"{kind}{c.verdict}: {shortened(c.outputs)}: {c.reason}" for c in causes(cells))
    return for_xml("\n".join(lines))


def _problems(report: Report) -> Iterator[tuple[str, str]]:
    yield from report.refused.items()
    for line in [*report.unproven, *report.unchecked]:
        yield "not covered", line
    if report.interrupted:
        yield "interrupted", "Ctrl-C ended the verification: cells are missing"
    if not report.cells and not report.refused:
        yield "nothing compared", "the report has no cells"


def _error(name: str, reason: str) -> TestCase:
    case = TestCase(name, "portproof")
    case.result = [Error(for_xml(reason))]
    return case
