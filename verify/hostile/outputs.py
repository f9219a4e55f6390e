"""Places of reports and names that a command is given."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from verify.hostile.case import Hostile
from verify.hostile.draft import Bases
from verify.hostile.manifests import verify


def cases() -> Iterator[Hostile]:
    for name, (words, status, says) in _ARGUMENTS.items():
        yield Hostile("arguments", name, partial(_command, words), status, says)


def _command(words: list[str], folder: Path, bases: Bases) -> list[str]:
    (folder / "file").write_text("x")
    filled = [word.replace("FOLDER", str(folder)) for word in words]
    return [*verify(bases.bundle), *filled] if filled[0].startswith("-") else filled


_ARGUMENTS: dict[str, tuple[list[str], tuple[int, ...], str]] = {
    "a report into /dev/full": (["--json", "/dev/full"], (1,), "space"),
    "a report into /dev/null": (["--json", "/dev/null"], (0,), ""),
    "a report into a folder": (["--json", "FOLDER"], (1,), "FOLDER|directory"),
    "a report below a file": (["--json", "FOLDER/file/report.json"], (1,), "file"),
    "JUnit into /dev/full": (["--junit", "/dev/full"], (1,), "space"),
    "a bundle that is a file": (["verify", "FOLDER/file"], (1,), "not a bundle"),
    "a bundle that is not there": (["verify", "FOLDER/nothing"], (1,), "not a bundle"),
    "a name with an escape sequence": (["verify", "FOLDER/\x1b[2J\nproven: all"], (1,), "x1b"),
    "a name that is a command of GitHub's": (["verify", "::error::x"], (1, 2), ": :|refused|no "),
    "a key that is none": (["verify", "file://FOLDER", "--key", "FOLDER/file"], (1, 2), ""),
    "an export of a file that is none": (["export", "FOLDER/file"], (2,), "cannot be exported"),
    "an address of no protocol": (["verify", "nothing://x/y"], (1, 2), ""),
    "a registry that is none": (["verify", "oci://"], (1, 2), "no address"),
    "a diagnosis of nothing": (["diagnose", "FOLDER/nothing"], (1, 2), ""),
    "a bench of nothing": (["bench", "FOLDER/nothing"], (1, 2), ""),
    "what nothing holds": (["show", "FOLDER/nothing"], (1, 2), ""),
    "publishing nothing": (["publish", "FOLDER/x", "FOLDER/nothing"], (1, 2), ""),
}
