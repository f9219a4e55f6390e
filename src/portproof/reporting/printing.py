"""The one place that prints: foreign text reaches a terminal or a job's log only through here."""

import sys

from rich.console import Console

from portproof.bundle.text import for_terminal


def say(text: str) -> None:
    """Print lines to standard output."""
    print(for_terminal(text), flush=True)


def note(text: str) -> None:
    """Print lines to standard error: what goes on, and what went wrong."""
    print(for_terminal(text), file=sys.stderr, flush=True)


def console(*, stderr: bool = False, width: int | None = None) -> Console:
    """A console to which text is text: nothing in it is markup, an emoji or a link."""
    return Console(markup=False, emoji=False, highlight=False, stderr=stderr, width=width)
