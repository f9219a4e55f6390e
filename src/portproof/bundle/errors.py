"""The errors that a person can act on. Each message says what to do next."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from portproof.bundle.text import printable

# Of a message of TensorFlow's: a frame of the stack in which a node was made, and the node again.
_FRAME = re.compile(r'\n\s*File ".*", line \d+, in .*')
_COLOUR = re.compile(r"\x1b\[\d+m")
_NODE = re.compile(r"\[\[\{\{node [^}]*\}\}\]\](?: \[Op:\w+\])?")


class PortproofError(Exception):
    """Base of all errors that end a command with one message and no traceback."""

    exit_status = 2

    def __init__(self, message: str) -> None:
        super().__init__(printable(message, lines=True))


class UsageError(PortproofError):
    """The command or the call was used wrongly."""


class ExportError(PortproofError):
    """The model cannot be exported as asked."""

    exit_status = 1


class SetupError(PortproofError):
    """An environment that a runtime needs cannot be made."""

    exit_status = 1


class BundleError(PortproofError):
    """The bundle on disk is not what its manifest says: nothing of it may be trusted."""

    exit_status = 1


def one_line(error: BaseException, max_length: int = 500) -> str:
    """The message of an exception on one line, cut after `max_length` characters.

    What TensorFlow says of an op's origin, frame by frame, is left out: the reason comes after it.
    So are a terminal's colours, which Keras gives its messages.
    """
    message = _FRAME.sub("", _COLOUR.sub("", str(error))).replace(
        " defined at (most recent call last)", ""
    )
    return printable(" ".join(_NODE.sub("", message).split())[:max_length])


def described(error: BaseException, max_length: int = 500) -> str:
    """The kind of an exception and its message, on one line."""
    return f"{type(error).__name__}: {one_line(error, max_length) or 'no message'}"


@contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Turn an import that fails into a UsageError that says which extra of Portproof has it."""
    try:
        yield
    except ImportError as error:
        raise UsageError(
            f"{error.name} is not installed: pip install 'portproof[{extra}]'"
        ) from None


@contextmanager
def library_errors_as_usage_error(place: str) -> Iterator[None]:
    """Turn whatever a library raises while it reads or writes `place` into a UsageError.

    For libraries that document no common base of their exceptions: file systems and registries.
    """
    try:
        yield
    except PortproofError:
        raise
    except Exception as error:
        raise UsageError(f"{place}: {described(error, 300)}") from None
