"""A report's file -> Report."""

from pathlib import Path

from portproof.bundle.errors import UsageError
from portproof.bundle.reading import REPORT_LIMIT, parsed, read_file
from portproof.bundle.report import Report


def read_report(path: Path) -> Report:
    """Read a `report.json`. Raises UsageError where there is none, or it is another version's."""
    try:
        content = read_file(path, REPORT_LIMIT)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from None
    try:
        return parsed(Report, content)
    except ValueError:
        raise UsageError(f"{path} is no report of this version of Portproof.") from None
