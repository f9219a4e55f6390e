"""Reports of several hosts, by their files -> one report, written beside its bundle."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from portproof.bundle.bundle import MANIFEST, REPORT, Bundle
from portproof.bundle.errors import UsageError
from portproof.bundle.merging import merged
from portproof.bundle.report import Report
from portproof.bundle.report_files import read_report
from portproof.bundle.text import printable
from portproof.devices import answers
from portproof.reporting.files import write_beside_bundles


def merge_reports(paths: Sequence[Path]) -> Report:
    """See `portproof.merge`, which documents it."""
    bundles = {path: Bundle.open(path) for path in paths if _is_bundle(path)}
    reports: dict[str, Report] = {}
    for path in paths:
        if report := _report_of(path, bundles):
            _check_files(path, report, list(bundles.values()))
            reports[str(path)] = report
    report = merged(reports)
    unwritten = write_beside_bundles(report, list(bundles.values()), keep_others=False)
    return report.model_copy(update={"unwritten": unwritten})


def _is_bundle(path: Path) -> bool:
    return path.is_dir() and (path / MANIFEST).is_file()


def _report_of(path: Path, bundles: Mapping[Path, Bundle]) -> Report | None:
    """What one path stands for; None for a bundle that nothing was run on here."""
    if bundle := bundles.get(path):
        return _report_in(bundle) if (path / REPORT).exists() else None
    if path.is_dir():
        raise UsageError(f"{path} is no bundle: name bundles, and report.json files.")
    if path.suffix != answers.SUFFIX:
        return read_report(path)
    computed = answers.read_answers(path)
    for bundle in bundles.values():
        if bundle.manifest.model == computed.said.model:
            own = _report_in(bundle) if (bundle.path / REPORT).exists() else None
            return answers.report_of(computed, bundle, own.targets if own else {})
    raise UsageError(
        f"{path} is what a browser computed of {printable(computed.said.model)}: name its bundle "
        "too, which it is judged by."
    )


def _check_files(path: Path, report: Report, bundles: Sequence[Bundle]) -> None:
    """Raise UsageError where a report is of other files than the bundle that is named with it."""
    for bundle in bundles:
        digest = report.bundle.get(bundle.manifest.model, bundle.digest)
        if digest != bundle.digest:
            raise UsageError(
                f"{path} is of other files ({digest[:16]}) than {bundle.path} "
                f"({bundle.digest[:16]}): the model was exported again after it."
            )


def _report_in(bundle: Bundle) -> Report:
    report = read_report(bundle.path / REPORT)
    if report.bundle.get(bundle.manifest.model) != bundle.digest:
        raise UsageError(f"{bundle.path} has a report of other files: verify it again.")
    return report
