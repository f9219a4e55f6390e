"""The application that the commands belong to, and what all of them have."""

from importlib.metadata import version as version_of
from typing import Annotated

import typer

from portproof.reporting.printing import say

EXIT_STATUSES = """Exit status:

- 0: it is proven, or done
- 1: something is wrong or failed, or a target does not support it; or the command failed
- 2: the command was used wrongly
- 3: something that was asked for is absent
- 130: Ctrl-C
"""

app = typer.Typer(
    help="Export a model to every format, and prove that each artifact gives its numbers.",
    epilog=EXIT_STATUSES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # which fills paragraphs
)


def _print_version(wanted: bool) -> None:
    if wanted:
        say(f"portproof {version_of('portproof')}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Export a model to every format, and prove that each artifact gives its numbers."""
