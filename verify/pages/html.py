"""A bundle's report as one page: no network, no script, for a phone and a desk."""

import base64
from dataclasses import dataclass
from functools import cached_property

from jinja2 import Environment, PackageLoader, StrictUndefined

from bundle.bundle import Bundle
from verify import units
from verify.curves import Curve
from verify.pages.error_plot import SERIES, Plot, plot
from verify.pages.overview import Overview
from verify.report import Cell, Report

PLOTS = 12  # at most


@dataclass(frozen=True)
class Page(Overview):
    """What the template asks for."""

    bundle: Bundle

    @cached_property
    def plots(self) -> list[Plot]:
        """Of the first outputs, for each is as large as all the rest of the page."""
        return [plot(curve, self._typical(curve)) for curve in self.report.curves[:PLOTS]]

    def _typical(self, curve: Curve) -> list[Cell]:
        typical = (cell for cell in self.report.cells if cell.regime == "typical")
        wanted = (curve.signature, curve.output)
        return [cell for cell in typical if (cell.signature, cell.output) == wanted]

    @property
    def pictures(self) -> dict[str, str]:
        """The training's plots, by their name, as data addresses."""
        return {
            file.path.split("/")[-1].removesuffix(".png"): "data:image/png;base64,"
            + base64.b64encode((self.bundle.path / file.path).read_bytes()).decode()
            for file in self.bundle.manifest.plots
            if file.path.endswith(".png")
        }


def render(bundle: Bundle, report: Report) -> str:
    """`report.html` of one bundle; `report` is the part that is about it."""
    templates = Environment(
        loader=PackageLoader("verify.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters.update(
        bytes=units.binary, seconds=units.seconds, number=units.number, spread=units.spread
    )
    page = Page(report, bundle)
    return templates.get_template("report.html.j2").render(
        page=page, report=report, manifest=bundle.manifest, series=range(len(SERIES))
    )
