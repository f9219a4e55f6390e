"""The templates of pages, of what a notebook shows, and of badges: whatever they show is text."""

from jinja2 import Environment, PackageLoader, StrictUndefined

from portproof.reporting import units


def html_templates() -> Environment:
    """What is put into a template is escaped, and a name that is not there is an error."""
    templates = Environment(
        loader=PackageLoader("portproof.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters.update(
        bytes=units.binary, seconds=units.seconds, number=units.number, spread=units.spread
    )
    return templates
