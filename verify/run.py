"""Paths -> Report: opens the bundles, has them checked, and keeps each one's report beside it."""

from collections.abc import Callable, Sequence
from pathlib import Path

from bundle import atomic, card
from bundle.bundle import MANIFEST, PAGE, REPORT, Bundle
from bundle.errors import BundleError, UsageError
from verify.check import check
from verify.pages import html, markdown
from verify.pages.overview import Overview
from verify.process import Limits
from verify.report import Cell, Report
from verify.runtimes import select
from verify.runtimes.runtime import Runtime


def run(
    paths: Sequence[Path],
    artifacts: Path,
    runtimes: Sequence[str],
    servers: Sequence[str],
    limits: Limits,
    strict: bool,
    on_cell: Callable[[Cell], None],
) -> Report:
    """Verify the bundles at `paths`, or all below `artifacts` where there are none.

    A bundle that is not what was exported is in the report as refused; the others are verified.
    """
    paths = paths or find(artifacts)
    chosen = select(list(runtimes), list(servers))
    if servers and len(paths) != 1:
        raise UsageError("--serving is the URL of one model: name the bundle that it serves.")
    bundles, refused = [], {}
    for path in paths:
        try:
            bundles.append(Bundle.open(path))
        except BundleError as error:
            refused[str(path)] = str(error)
    # A server that was named is asked for too, though it narrows nothing.
    served = [runtime.name for runtime in chosen if "serving" in runtime.options]
    unknown = {} if runtimes else _unknown(bundles, chosen)
    report = check(
        bundles,
        chosen,
        asked=list(dict.fromkeys([*runtimes, *served])),
        refused=refused,
        unknown=unknown,
        limits=limits,
        strict=strict,
        on_cell=on_cell,
    )
    reports = {bundle.path: report.of(bundle.manifest.model) for bundle in bundles}
    # Of a refused bundle too: an older report would go on saying that all is well.
    bare = report.model_copy(update={"bundle": {}, "cells": [], "ok": False})
    reports |= {Path(name): bare for name in refused if (Path(name) / MANIFEST).is_file()}
    written = {folder / REPORT: one.to_json() for folder, one in reports.items()}
    written |= {bundle.path / PAGE: html.render(bundle, reports[bundle.path]) for bundle in bundles}
    for bundle in bundles:
        overview = Overview(reports[bundle.path])
        lines = [markdown.counts(overview), "", *markdown.matrix(overview)]
        written[bundle.path / card.CARD] = card.render(bundle.path, bundle.manifest, lines)
    return report.model_copy(update={"unkept": _keep(written)})


def _unknown(bundles: Sequence[Bundle], runtimes: Sequence[Runtime]) -> dict[str, list[str]]:
    """Artifacts that would otherwise be passed over, for no runtime runs their format."""
    known = {name for runtime in runtimes for name in runtime.formats}
    found = {
        bundle.manifest.model: [a.name for a in bundle.manifest.artifacts if a.name not in known]
        for bundle in bundles
    }
    return {model: names for model, names in found.items() if names}


def find(artifacts: Path) -> list[Path]:
    """Every bundle below a folder. Raises UsageError where there is none."""
    found = sorted(p.parent for p in artifacts.glob(f"*/{MANIFEST}") if p.parent.name[0] != ".")
    if not found:
        raise UsageError(f"there is no bundle in {artifacts}. Make one with `portproof export`.")
    return found


def _keep(texts: dict[Path, str]) -> dict[str, str]:
    """Write each file of a bundle. Why, where it cannot be: a bundle may be read-only."""
    unkept = {}
    for path, text in texts.items():
        try:
            atomic.write_text(path, text)
        except OSError as error:
            unkept[str(path)] = error.strerror or str(error)
    return unkept
