"""SHA-256 of files, and the files that a folder holds."""

import hashlib
from pathlib import Path

from portproof.bundle.signature import Record


class File(Record):
    """A file of a bundle: path relative to the bundle, with `/`; size in bytes; SHA-256 in hex."""

    path: str
    size: int
    sha256: str


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def paths_in(folder: Path) -> list[str]:
    """Every file below `folder`, links included, relative to it with `/`, sorted."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_symlink() or not path.is_dir()
    )


def file_record(root: Path, path: str) -> File:
    """The record of the file `root/path`."""
    file = root / path
    return File(path=path, size=file.stat().st_size, sha256=sha256_of(file))


def folder_records(root: Path, folder: str) -> tuple[File, ...]:
    """The records of every file below `root/folder`."""
    return tuple(file_record(root, f"{folder}/{path}") for path in paths_in(root / folder))
