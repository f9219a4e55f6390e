"""Files of somebody else's in a tar archive."""

import shutil
import tarfile
from pathlib import Path
from typing import IO

from portproof.bundle.errors import BundleError


def pack_files(stream: IO[bytes], folder: Path, names: list[str]) -> None:
    """Write an archive of these files below a folder."""
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name in names:
            archive.add(folder / name, arcname=name)


def unpack_files(stream: IO[bytes], folder: Path) -> None:
    """Unpack an archive that is not checked yet: no links, nothing outside, no file twice.

    Not by `extractall`, whose filters could be bypassed (CVE-2025-4517), and which Python 3.11 has
    not before its fourth release. Raises BundleError.
    """
    with tarfile.open(fileobj=stream, mode="r:") as opened:
        for member in opened:
            # The holes of a sparse one would be written out, whatever their size.
            is_plain = member.isreg() and not member.issparse()
            content = opened.extractfile(member) if is_plain else None
            if content is None or not is_inside(member.name):
                raise BundleError(f"it holds {member.name!r}, which is no file of a bundle.")
            target = folder / member.name
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file:
                shutil.copyfileobj(content, file, 1 << 20)


def is_inside(path: str) -> bool:
    """Whether a relative path leads into its folder, on any system."""
    parts = path.split("/")
    return not {"", ".", ".."}.intersection(parts) and not set(path) & {"\\", ":", "\0"}
