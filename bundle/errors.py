"""The errors that a person can act on. Each message says what to do next."""

from collections.abc import Iterator
from contextlib import contextmanager


class PortproofError(Exception):
    """Base of all errors that end a command with one message and no traceback."""

    exit_status = 2


class UsageError(PortproofError):
    """The command or the call was used wrongly."""


class ExportError(PortproofError):
    """The model cannot be exported as asked."""

    exit_status = 1


class BundleError(PortproofError):
    """The bundle on disk is not what its manifest says: nothing of it may be trusted."""

    exit_status = 1


def one_line(error: BaseException, most: int = 500) -> str:
    """What an exception of somebody else's says, in a line of at most so many characters."""
    return " ".join(str(error).split())[:most]


@contextmanager
def told(place: str) -> Iterator[None]:
    """Whatever a library raises while it reads or writes a place, as one message of ours."""
    try:
        yield
    except PortproofError:
        raise
    except Exception as error:
        raise UsageError(f"{place}: {type(error).__name__}: {one_line(error, 300)}") from None
