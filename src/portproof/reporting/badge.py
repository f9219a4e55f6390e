"""A badge for a repository's page: the verdict of its last report, as SVG."""

from portproof.bundle.report import Report
from portproof.reporting.html import html_templates
from portproof.reporting.shipping import destinations

# White on each has a contrast of at least 4.5 (WCAG 2.2, 1.4.3).
_GREEN, _AMBER, _RED, _GREY = "#1a7f37", "#8a5a00", "#b42318", "#57606a"
_LABEL = "portproof"
# Of a letter of 11 px in a font like Verdana, about; `textLength` makes each text fit.
_LETTER, _PADDING = 6.6, 6


def render_badge(report: Report) -> str:
    """`portproof | proven in 21 runtimes`, as an SVG that asks for nothing else."""
    message, colour = _verdict(report)
    left, right = (round(len(text) * _LETTER) + 2 * _PADDING for text in (_LABEL, message))
    template = html_templates().get_template("badge.svg.j2")
    parts = {"label": _LABEL, "message": message, "colour": colour, "padding": _PADDING}
    return template.render(**parts, left=left, right=right)


def _verdict(report: Report) -> tuple[str, str]:
    if report.interrupted:
        return "interrupted", _AMBER
    if report.exit_status == 3:
        return "not proven: absent", _GREY
    if not report.ok:
        return report.outcome, _RED
    if report.held_to or report.unvouched:
        return report.outcome, _AMBER
    count = len(destinations(report))
    models = f"{len(report.bundle)} models " if len(report.bundle) > 1 else ""
    return f"{models}proven in {count} runtime{'s' * (count != 1)}", _GREEN
