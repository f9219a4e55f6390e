"""The one place that prints: foreign text reaches a terminal or a job's log only through here."""

import os
import sys
from typing import TextIO

from rich.console import Console

from portproof.bundle.text import for_terminal, without_commands


def say(text: str, *, coloured: bool = False) -> None:
    """Print lines to standard output; `coloured` are those that our own console made."""
    print(without_commands(text) if coloured else for_terminal(text), flush=True)


def note(text: str) -> None:
    """Print lines to standard error: what goes on, and what went wrong."""
    print(for_terminal(text), file=sys.stderr, flush=True)


def is_terminal(stream: TextIO) -> bool:
    """Whether a person looks at it, with whatever `FORCE_COLOR` asks a job's log to have."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def console(*, stderr: bool = False, width: int | None = None) -> Console:
    """A console to which text is text: nothing in it is markup, an emoji or a link."""
    return Console(markup=False, emoji=False, highlight=False, stderr=stderr, width=width)
