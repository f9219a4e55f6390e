"""What Jupyter shows: a report and a bundle as tables, and how far a command is."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import Any

from portproof.bundle.bundle import Bundle
from portproof.bundle.report import Cell, Report
from portproof.bundle.text import short_path
from portproof.reporting import table
from portproof.reporting.causes import causes
from portproof.reporting.html import html_templates
from portproof.reporting.shipping import destinations, not_to_text
from portproof.reporting.summary import counted, counts_text, deciding, nearness, overall

MAX_CAUSES = 20
MAX_STEPS = 12  # that are shown of a command that goes on

# Of each verdict: the colour of its text on the page's own background, and of its own, translucent:
# both have a contrast of 4.5 on a light and on a dark notebook (WCAG 2.2, 1.4.3).
_COLOURS = {
    "exact": ("#0a6b2e", "#dff3e4"),
    "faithful": ("#0a6b2e", "#dff3e4"),
    "close": ("#7a5200", "#fdf0cf"),
    "unsupported": ("#566070", "#e9ecf0"),
    "wrong": ("#a3141f", "#fde2e2"),
    "failed": ("#a3141f", "#fde2e2"),
}


def report_html(report: Report) -> str:
    """A report as tables of HTML, a row for each runtime, for each of its models."""
    models = [_model(name, report.of_model(name)) for name in report.bundle]
    template = html_templates().get_template("notebook_report.html.j2")
    return template.render(report=report, models=models, colours=_COLOURS, max_causes=MAX_CAUSES)


def bundle_html(bundle: Bundle) -> str:
    """What a bundle holds, as tables of HTML."""
    return (
        html_templates()
        .get_template("notebook_bundle.html.j2")
        .render(bundle=bundle, path=short_path(bundle.path), manifest=bundle.manifest)
    )


def _model(name: str, report: Report) -> dict[str, Any]:
    return {
        "name": name,
        "report": report,
        "counts": counts_text(report) or "no cells at all",
        "tables": [_table(artifacts, cells) for artifacts, cells in table.groups(report.cells)],
        "causes": causes(report.failures),
        "ships": ", ".join(destinations(report)),
        "not_to": not_to_text(report),
    }


def _table(artifacts: Sequence[str], cells: Sequence[Cell]) -> dict[str, Any]:
    """By runtime and artifact, the verdict and its figure; None where it was not run."""
    rows: dict[str, list[tuple[str, str] | None]] = {}
    for place in dict.fromkeys(cell.place for cell in cells):
        row = rows[place] = []
        for name in artifacts:
            of = deciding(c for c in cells if (c.place, c.full_format) == (place, name))
            row.append((overall(of), nearness(of)) if of else None)
    return {"artifacts": artifacts, "rows": rows}


def in_notebook() -> bool:
    """Whether this process is a notebook's kernel, which shows more than text."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and hasattr(shell, "kernel")


class Steps:
    """The last steps of a command under a notebook's cell, and for how long it goes on."""

    def __init__(self, title: str) -> None:
        from IPython.display import display

        self._title = title
        self._steps: list[str] = []
        self._start = monotonic()
        self._over = False
        self._shown = display(self, display_id=True)  # type: ignore[no-untyped-call]

    def add(self, line: str) -> None:
        """Show one more step."""
        self._steps.append(line)
        self._shown.update(self)

    def add_runtime(self, runtime: str, cells: Sequence[Cell]) -> None:
        """Show that a runtime has ended."""
        self.add(f"{runtime}: {counted(cells)}")

    def end(self) -> None:
        """Keep a line of it."""
        self._over = True
        self._shown.update(self)

    def _lines(self) -> list[str]:
        seconds = f"{monotonic() - self._start:.0f} s"
        if self._over:
            return [f"{self._title} took {seconds}"]
        return [f"{self._title} ({seconds})", *self._steps[-MAX_STEPS:]]

    def __repr__(self) -> str:
        return "\n".join(self._lines())

    def _repr_html_(self) -> str:
        return html_templates().get_template("notebook_steps.html.j2").render(lines=self._lines())


@contextmanager
def steps(title: str) -> Iterator[Steps | None]:
    """Show the steps of what the block does, in a notebook; elsewhere there is nothing."""
    if not in_notebook():
        yield None
        return
    shown = Steps(title)
    try:
        yield shown
    finally:
        shown.end()
