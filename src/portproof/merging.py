"""Reports of several hosts, by their files -> one report, written beside its bundle."""

from collections.abc import Sequence
from pathlib import Path

from portproof.bundle.bundle import MANIFEST, REPORT, Bundle
from portproof.bundle.errors import UsageError
from portproof.bundle.merging import merged
from portproof.bundle.report import Report
from portproof.bundle.report_files import read_report
from portproof.reporting.files import write_merged


def merge_reports(paths: Sequence[Path]) -> Report:
    """See `portproof.merge`, which documents it."""
    reports: dict[str, Report] = {}
    bundles: list[Bundle] = []
    for path in paths:
        is_bundle = path.is_dir() and (path / MANIFEST).is_file()
        if path.is_dir() and not is_bundle:
            raise UsageError(f"{path} is no bundle: name bundles, and report.json files.")
        report = read_report(path / REPORT if is_bundle else path)
        if is_bundle:
            bundles.append(_bundle_of(report, path))
        reports[str(path)] = report
    report = merged(reports)
    return report.model_copy(update={"unwritten": write_merged(report, bundles)})


def _bundle_of(report: Report, path: Path) -> Bundle:
    bundle = Bundle.open(path)
    if report.bundle.get(bundle.manifest.model) != bundle.digest:
        raise UsageError(f"{path} has a report of other files: verify it again.")
    return bundle
