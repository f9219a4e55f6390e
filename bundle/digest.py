"""SHA-256 of files, and what a folder holds."""

import hashlib
from pathlib import Path

from bundle.signature import Frozen


class File(Frozen):
    """A file of a bundle: path relative to the bundle, with `/`; bytes; SHA-256 in hex."""

    path: str
    size: int
    sha256: str


def of_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def paths_in(folder: Path) -> list[str]:
    """Every file below `folder`, relative to it with `/`, sorted."""
    return sorted(
        p.relative_to(folder).as_posix()
        for p in folder.rglob("*")
        if p.is_symlink() or not p.is_dir()
    )


def describe(root: Path, path: str) -> File:
    """The record of the file `root/path`."""
    file = root / path
    return File(path=path, size=file.stat().st_size, sha256=of_file(file))


def describe_all(root: Path, folder: str) -> tuple[File, ...]:
    """The records of every file below `root/folder`."""
    return tuple(describe(root, f"{folder}/{path}") for path in paths_in(root / folder))
