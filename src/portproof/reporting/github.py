"""What a GitHub job shows: annotations at the run, and a page of Markdown for the job.

https://docs.github.com/actions/reference/workflow-commands-for-github-actions
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from portproof.bundle.report import Report
from portproof.bundle.text import printable
from portproof.reporting import markdown
from portproof.reporting.causes import causes

_MAX_ANNOTATIONS = 10  # that GitHub shows of one step


def is_here(environment: Mapping[str, str] = os.environ) -> bool:
    return environment.get("GITHUB_ACTIONS") == "true"


def annotations(report: Report) -> Iterator[str]:
    """Commands to print, one for each cause."""
    lines = [
        _command("error", f"{cause.verdict}: {model} {cause.place}", cause.reason)
        for model in report.bundle
        for cause in causes(report.of_model(model).failures)
    ]
    lines += [_command("error", "not covered", line) for line in report.unproven]
    lines += [_command("error", "refused", reason) for reason in report.refused.values()]
    lines += [_command("warning", "not covered", line) for line in report.unchecked]
    yield from lines[:_MAX_ANNOTATIONS]


def _command(kind: str, title: str, message: str) -> str:
    title = _escaped(title).replace(":", "%3A").replace(",", "%2C")
    return f"::{kind} title={title}::{_escaped(message)}"


def _escaped(text: str) -> str:
    return printable(text).replace("%", "%25")


def write_summary(report: Report, environment: Mapping[str, str] = os.environ) -> None:
    """Add the report to the job's page, where there is one."""
    add_to_summary(markdown.summary(report), environment)


def add_to_summary(lines: Iterable[str], environment: Mapping[str, str] = os.environ) -> None:
    """Add lines of Markdown to the job's page, where there is one."""
    if path := environment.get("GITHUB_STEP_SUMMARY"):
        with Path(path).open("a", encoding="utf-8") as page:
            page.write("\n".join(lines) + "\n")
