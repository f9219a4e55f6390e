"""The one way in which what a stranger may have made is read: files, and what servers send."""

import json
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeVar

from pydantic import BaseModel, ValidationError

from portproof.bundle.text import is_printable, printable, strings_in

# What is parsed as a whole takes some twenty times its size of memory.
MANIFEST_LIMIT = REPORT_LIMIT = STATEMENT_LIMIT = 64 << 20
CARD_LIMIT = 1 << 20
# One case: a few rows of inputs and outputs, each of them up to five times.
VECTOR_LIMIT = 2 << 30
PICTURE_LIMIT = 16 << 20

_Model = TypeVar("_Model", bound=BaseModel)


@contextmanager
def opened(path: Path, limit: int, *, links: bool = False) -> Iterator[IO[bytes]]:
    """A regular file, to be read.

    Args:
        path: The file: nothing that is not one. A pipe would be waited for, a device may never end.
        limit: How many bytes it may have at most.
        links: Whether it may be a link, as a person's own file may that they name.

    Raises OSError, with the reason, where it is something else or larger.
    """
    # Opening a pipe to read it waits for somebody to write, unless it is told not to.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | (0 if links else os.O_NOFOLLOW))
    with os.fdopen(handle, "rb") as stream:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(0, "it is no regular file", str(path))
        if status.st_size > limit:
            raise OSError(0, f"it has more than {limit:,} bytes", str(path))
        yield stream


def read_file(path: Path, limit: int) -> bytes:
    """The bytes of a regular file, which is no link. Args and errors as of `opened`."""
    with opened(path, limit) as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:  # it grows
        raise OSError(0, f"it has more than {limit:,} bytes", str(path))
    return content


def joined(pieces: Iterable[bytes], limit: int) -> bytes:
    """Pieces of what somebody sends, who may never end.

    Args:
        pieces: Some bytes after the others.
        limit: How many bytes there may be at most.

    Raises ValueError, with the reason, where there are more.
    """
    content = bytearray()
    for piece in pieces:
        content += piece
        if len(content) > limit:
            raise ValueError(f"it has more than {limit:,} bytes")
    return bytes(content)


def copied(pieces: Iterable[bytes], target: IO[bytes], limit: int) -> None:
    """Write pieces of what somebody sends into a file. Args and errors as of `joined`."""
    left = limit
    for piece in pieces:
        left -= len(piece)
        if left < 0:
            raise ValueError(f"it has more than {limit:,} bytes")
        target.write(piece)


def parsed(model: type[_Model], content: bytes) -> _Model:
    """A JSON document as a model, of which every string can be shown to a person.

    Args:
        model: What the document is to be.
        content: The document.

    Raises ValueError, with the reason in a line, where it is something else.
    """
    try:
        document = model.model_validate_json(content)
        # Not of what pydantic made of it: names of fields count too.
        strings = list(strings_in(json.loads(content)))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ValueError(f"{field}: {first['msg']}") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    for text in strings:
        if not is_printable(text):
            raise ValueError(f"it has characters that are not shown: {printable(text)[:100]}")
    return document
