"""Text that a stranger may have written, made safe to show: the one way out for all of it.

A terminal obeys escape sequences, GitHub commands in what a job prints, Markdown and XML their own
signs. https://docs.github.com/actions/reference/workflow-commands-for-github-actions
"""

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

# Control characters, those that turn the direction of text or hide, and halves of pairs.
_INVISIBLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff0-\ufffb"
    "\ufffe\uffff\ud800-\udfff\U000e0000-\U000e007f\U000e0100-\U000e01ef"
    "\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\uffa0]"
)
# Signs of GitHub's Markdown that mean something in the middle of a line.
_MARKDOWN = re.compile(r"([\\`*\[\]|~])|(?<!\w)_|_(?!\w)")
# What begins a command to GitHub: of the newer form at the beginning of a line.
_COMMAND = re.compile(r"^(\s*):(?=:)|#(?=#\[)", re.MULTILINE)


def printable(text: str, *, lines: bool = False) -> str:
    r"""The text with what is not seen written out: `\x1b`.

    Args:
        text: Any text.
        lines: Whether it may have more than one line.
    """

    def written_out(match: re.Match[str]) -> str:
        character = match[0]
        return character if lines and character == "\n" else ascii(character)[1:-1]

    return _INVISIBLE.sub(written_out, text)


def is_printable(text: str) -> bool:
    """Whether all of a text is seen."""
    return not _INVISIBLE.search(text)


def for_terminal(text: str) -> str:
    """Lines to print, of which no log of a job takes one for a command to itself."""
    return without_commands(printable(text, lines=True))


def without_commands(text: str) -> str:
    """Lines, which may have colours of ours, of which no log of a job obeys one."""
    return _COMMAND.sub(lambda match: f"{match[0]} ", text)


def for_markdown(text: str) -> str:
    """A part of a line of Markdown, which shows these characters."""
    marked = _MARKDOWN.sub(lambda match: "\\" + match[0], printable(text))
    return html.escape(marked, quote=False)


def for_code(text: str) -> str:
    """What stands between two backticks of Markdown, in a table too."""
    return printable(text).replace("`", "'").replace("|", "\\|")


def for_xml(text: str) -> str:
    """Text that XML 1.0 can carry (section 2.2); the writer escapes its signs."""
    return printable(text, lines=True)


def choices(name: str, known: Iterable[str]) -> str:
    """What a name could be that is none of the known ones: the nearest, and all."""
    known = list(known)
    near = get_close_matches(name, known, 1) or [k for k in known if name in k][:1]
    return f"{f'do you mean {near[0]}? They' if near else 'they'} are {', '.join(known)}."


def shortened(names: Sequence[str], most: int = 3) -> str:
    """`a, b and 2 more`."""
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {len(names) - most} more"


def short_path(path: Path) -> Path:
    """A path as a person would type it here."""
    try:
        here = Path.cwd()
    except FileNotFoundError:  # it was removed
        return path
    return path.relative_to(here) if path.is_relative_to(here) else path


def strings_in(document: Any) -> Iterator[str]:
    """All strings of a JSON document, names of fields too."""
    if isinstance(document, str):
        yield document
    elif isinstance(document, dict):
        for name, value in document.items():
            yield name
            yield from strings_in(value)
    elif isinstance(document, list):
        for value in document:
            yield from strings_in(value)
