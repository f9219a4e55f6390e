"""Paths -> Report: opens the bundles, has them checked, and keeps each one's report beside it."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from bundle import atomic, card
from bundle.bundle import MANIFEST, PAGE, REPORT, Bundle
from bundle.errors import BundleError, UsageError
from bundle.publishing.publish import fetched, is_address
from verify.check import check
from verify.pages import html, markdown
from verify.pages.overview import Overview
from verify.process import Limits
from verify.report import Cell, Report
from verify.runtimes import select
from verify.runtimes.runtime import Runtime


@dataclass(frozen=True)
class Wanted:
    """What a person asks for: `runtimes` by name, `servers` by URL, all that are here without any.

    `key` is the public key by whose owner what was published must be signed.
    """

    runtimes: Sequence[str] = ()
    servers: Sequence[str] = ()
    limits: Limits = field(default_factory=Limits)
    strict: bool = False
    key: Path | None = None


def run(
    names: Sequence[str], artifacts: Path, wanted: Wanted, on_cell: Callable[[Cell], None]
) -> Report:
    """Verify the bundles of these paths and addresses, or all below `artifacts` without any.

    A bundle that is not what was exported, or published, is in the report as refused; the others
    are verified.
    """
    names = names or [str(path) for path in find(artifacts)]
    if wanted.key and not all(is_address(name) for name in names):
        raise UsageError("--key is for what was published: give its address, such as s3://...")
    if wanted.servers and len(names) != 1:
        raise UsageError("--serving is the URL of one model: name the bundle that it serves.")
    chosen = select(list(wanted.runtimes), list(wanted.servers))
    with ExitStack() as stack:
        bundles, refused = _opened(names, wanted.key, stack)
        # A server that was named is asked for too, though it narrows nothing.
        served = [runtime.name for runtime in chosen if "serving" in runtime.options]
        report = check(
            bundles,
            chosen,
            asked=list(dict.fromkeys([*wanted.runtimes, *served])),
            refused=refused,
            unknown={} if wanted.runtimes else _unknown(bundles, chosen),
            limits=wanted.limits,
            strict=wanted.strict,
            on_cell=on_cell,
        )
        return report.model_copy(update={"unkept": _keep(_written(report, bundles))})


def _opened(
    names: Sequence[str], key: Path | None, stack: ExitStack
) -> tuple[list[Bundle], dict[str, str]]:
    """The bundles, and by name why one is refused."""
    bundles, refused = [], {}
    for name in names:
        try:
            path = stack.enter_context(fetched(name, key)) if is_address(name) else Path(name)
            bundles.append(Bundle.open(path))
        except BundleError as error:
            refused[name] = str(error)
    return bundles, refused


def _written(report: Report, bundles: Sequence[Bundle]) -> dict[Path, str]:
    """The files that are kept beside each bundle, with what they say."""
    # Of a refused bundle too: an older report would go on saying that all is well.
    bare = report.model_copy(update={"bundle": {}, "cells": [], "ok": False})
    written = {
        Path(name, REPORT): bare.to_json()
        for name in report.refused
        if Path(name, MANIFEST).is_file()
    }
    for bundle in bundles:
        part = report.of(bundle.manifest.model)
        overview = Overview(part)
        lines = [markdown.counts(overview), "", *markdown.matrix(overview)]
        written[bundle.path / REPORT] = part.to_json()
        written[bundle.path / PAGE] = html.render(bundle, part)
        written[bundle.path / card.CARD] = card.render(bundle.path, bundle.manifest, lines)
    return written


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
