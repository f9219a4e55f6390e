"""A report's file -> Report."""

from pathlib import Path

from portproof.bundle.bundle import REPORT
from portproof.bundle.errors import UsageError
from portproof.bundle.reading import REPORT_LIMIT, parsed, read_file
from portproof.bundle.report import SCHEMA, Report
from portproof.bundle.schema import other_schema


def read_report(path: Path) -> Report:
    """Read a `report.json`. Raises UsageError where there is none, or it is another version's."""
    try:
        content = read_file(path, REPORT_LIMIT)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from None
    try:
        return parsed(Report, content)
    except ValueError as error:
        if other := other_schema(content, SCHEMA):
            raise UsageError(f"{path} cannot be read: {other}.") from None
        raise UsageError(f"{path} is no report: {error}.") from None


def report_beside(bundle: Path) -> Report | None:
    """A bundle's own report; None where it has none, or another version's."""
    try:
        return parsed(Report, read_file(bundle / REPORT, REPORT_LIMIT))
    except (OSError, ValueError):
        return None
