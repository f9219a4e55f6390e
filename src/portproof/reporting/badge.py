"""A badge for a repository's page: the verdict of its last report, as SVG."""

from portproof.bundle.report import Report
from portproof.bundle.text import for_xml
from portproof.reporting.html import html_templates
from portproof.reporting.summary import deciding

# White on each has a contrast of at least 4.5 (WCAG 2.2, 1.4.3).
_GREEN, _AMBER, _RED, _GREY = "#1a7f37", "#8a5a00", "#b42318", "#57606a"
_LABEL = "portproof"
# Of a letter of 11 px in a font like Verdana, about; `textLength` makes each text fit.
_LETTER, _PADDING = 6.6, 6


def render_badge(report: Report) -> str:
    """`portproof | proven in 21 runtimes`, as an SVG that asks for nothing else."""
    message, colour = _verdict(report)
    message = for_xml(message)
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
    if len(report.bundle) > 1:
        return f"{len(report.bundle)} models proven", _GREEN
    passed = {cell.runtime for cell in deciding(report.cells) if cell.passed}
    return f"proven in {len(passed)} runtime{'s' * (len(passed) != 1)}", _GREEN
