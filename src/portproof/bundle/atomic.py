"""Files and folders that are there whole or not at all."""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from portproof.bundle import temporary


@contextmanager
def folder(target: Path) -> Iterator[Path]:
    """A new folder beside `target` that takes its place when the block ends without an exception.

    What was at `target` stays until then, and is put back if the last rename fails. What killed
    processes left of the same target is removed.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    previous = target.with_name(f".{target.name}.previous")
    if previous.exists() and not target.exists():  # killed between the two renames below
        previous.rename(target)
    with temporary.folder(target.parent, f".{target.name}.new-") as parent:
        staging = parent / target.name
        staging.mkdir()
        yield staging
        shutil.rmtree(previous, ignore_errors=True)
        if target.exists():
            target.rename(previous)
        try:
            staging.rename(target)
        except OSError:
            if previous.exists():
                previous.rename(target)
            raise
        shutil.rmtree(previous, ignore_errors=True)


@contextmanager
def file(path: Path) -> Iterator[IO[bytes]]:
    """A file to write that takes its place when the block ends without an exception."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with staging.open("xb") as stream:
            yield stream
        staging.replace(path)
    except BaseException:
        staging.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a whole UTF-8 text file, or leave what was there."""
    with file(path) as stream:
        stream.write(text.encode(errors="surrogateescape"))  # somebody else's bytes stay theirs


def write_text_anywhere(path: Path, text: str) -> None:
    """The same at a path that the person named: a device or a pipe is written into."""
    if path.exists() and not path.is_file() and not path.is_dir():
        path.write_text(text, encoding="utf-8")
    else:
        write_text(path, text)
