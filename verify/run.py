"""Paths -> Report: opens the bundles, has them checked, and keeps each one's report beside it."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bundle import atomic, card
from bundle.bundle import MANIFEST, PAGE, REPORT, Bundle
from bundle.errors import BundleError, UsageError, one_line
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
        return report.model_copy(update={"unkept": _keep(report, bundles)})


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
            refused[name] = f"{name}: {error}" if is_address(name) else str(error)
    return bundles, refused


def _keep(report: Report, bundles: Sequence[Bundle]) -> dict[str, str]:
    """Write what is kept beside each bundle. Why, where it cannot be: a bundle may be read-only."""
    # Of a refused bundle too: an older report would go on saying that all is well.
    bare = report.model_copy(update={"bundle": {}, "cells": [], "ok": False})
    unkept: dict[str, str] = {}
    for name in report.refused:
        if Path(name, MANIFEST).is_file():
            _write(Path(name, REPORT), bare.to_json, unkept)
            with suppress(OSError):
                Path(name, PAGE).unlink(missing_ok=True)
    for bundle in bundles:
        part = report.of(bundle.manifest.model)
        _write(bundle.path / REPORT, part.to_json, unkept)
        _write(bundle.path / PAGE, partial(html.render, bundle, part), unkept)
        _write(bundle.path / card.CARD, partial(_card, bundle, part), unkept)
    return unkept


def _card(bundle: Bundle, report: Report) -> str:
    lines = [markdown.counts(report), "", *markdown.matrix(Overview(report))]
    return card.render(bundle.path, bundle.manifest, lines)


def _write(path: Path, render: Callable[[], str], unkept: dict[str, str]) -> None:
    """Verdicts that were hours in coming are not lost for a picture that cannot be drawn."""
    try:
        atomic.write_text(path, render())
    except OSError as error:
        unkept[str(path)] = error.strerror or str(error)
    except Exception as error:
        unkept[str(path)] = f"{type(error).__name__}: {one_line(error)}"


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
