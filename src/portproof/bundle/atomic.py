"""Files and folders that are there whole or not at all."""

import os
import shutil
import tempfile
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
    with temporary.folder(target.parent, f".{target.name}.new-") as staging:
        staging.chmod(0o777 & ~_umask())  # mkdtemp's 0700 would go with the rename
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
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    staging = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
        staging.chmod(0o666 & ~_umask())
        staging.replace(path)
    except BaseException:
        staging.unlink()
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


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
