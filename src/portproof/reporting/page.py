"""A bundle's report as one page: no network, no script, for a phone and a desk."""

import base64
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec

from portproof.bundle.bundle import Bundle
from portproof.bundle.reading import PICTURE_LIMIT, read_file
from portproof.bundle.report import Cell, Curve, Report
from portproof.reporting.causes import Cause, causes
from portproof.reporting.conflicts import conflicts
from portproof.reporting.error_plot import SERIES, Plot, plot
from portproof.reporting.graph_plot import GraphPlot, graph_plot
from portproof.reporting.html import html_templates
from portproof.reporting.overview import Overview
from portproof.reporting.shipping import not_to_text
from portproof.reporting.summary import counts, deciding, not_run_text

MAX_PLOTS = 12


@dataclass(frozen=True)
class Page(Overview):
    """The data of the template."""

    bundle: Bundle

    @property
    def counts(self) -> dict[str, int]:
        return counts(self.report.cells)

    @property
    def causes(self) -> list[Cause]:
        return causes(self.report.failures)

    @property
    def conflicts(self) -> list[str]:
        return [str(conflict) for conflict in conflicts(self.report)]

    @property
    def not_to(self) -> str:
        return not_to_text(self.report)

    @property
    def ill_conditioned(self) -> list[str]:
        """The outputs that are, in a case that counts."""
        cells = (cell for cell in deciding(self.report.cells) if cell.ill_conditioned)
        return list(dict.fromkeys(cell.output for cell in cells))

    @property
    def can_plot(self) -> bool:
        """Whether Matplotlib is installed, which not everyone needs who verifies."""
        return find_spec("matplotlib") is not None

    @cached_property
    def plots(self) -> list[Plot]:
        """The first outputs' only: each plot is as large as the rest of the page."""
        if not self.can_plot:
            return []
        return [plot(curve, self._typical(curve)) for curve in self.report.curves[:MAX_PLOTS]]

    @cached_property
    def graph_plots(self) -> list[GraphPlot]:
        """What diagnoses found along the graph, of the first ones."""
        if not self.can_plot:
            return []
        return [graph_plot(errors) for errors in self.report.graph_errors[:MAX_PLOTS]]

    def _typical(self, curve: Curve) -> list[Cell]:
        typical = (cell for cell in self.report.cells if cell.regime == "typical")
        key = (curve.signature, curve.output)
        return [cell for cell in typical if (cell.signature, cell.output) == key]

    @property
    def pictures(self) -> dict[str, str]:
        """The training's plots by their name, as data addresses."""
        return {
            file.path.split("/")[-1].removesuffix(".png"): "data:image/png;base64,"
            + base64.b64encode(read_file(self.bundle.path / file.path, PICTURE_LIMIT)).decode()
            for file in self.bundle.manifest.plots
            if file.path.endswith(".png") and file.size <= PICTURE_LIMIT
        }


def render_page(bundle: Bundle, report: Report) -> str:
    """`report.html` of one bundle; `report` is the part that is about it."""
    page = Page(report, bundle)
    return (
        html_templates()
        .get_template("report.html.j2")
        .render(
            not_run=not_run_text(report.not_run),
            page=page,
            report=report,
            manifest=bundle.manifest,
            series=range(len(SERIES)),
        )
    )
