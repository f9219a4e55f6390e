"""Files and folders that are there whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def folder(target: Path) -> Iterator[Path]:
    """A new folder beside `target` that takes its place when the block ends without an exception.

    What was at `target` stays until then, and is put back if the last rename fails.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    previous = target.with_name(f".{target.name}.previous")
    if previous.exists() and not target.exists():  # killed between the two renames below
        previous.rename(target)
    staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    staging.chmod(0o777 & ~_umask())  # mkdtemp's 0700 would go with the rename
    try:
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
    finally:
        shutil.rmtree(staging, ignore_errors=True)


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


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
