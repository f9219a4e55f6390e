"""Files of a bundle that are not what they were, with and without digests that say so."""

import os
import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from verify.hostile.case import Hostile
from verify.hostile.draft import Bases, Draft
from verify.hostile.manifests import verify

_KINDS = ("savedmodel/saved_model.pb", "tflite", "tfjs-graph", "vectors")
_RUNTIMES = {"savedmodel": "tensorflow", "tflite": "litert", "tfjs-graph": "tfjs-node-cpu"}
# Damaged files by seed: a parser meets something else in each.
_SEEDS = 12


def cases() -> Iterator[Hostile]:
    for kind in _KINDS:
        for name, change in _CHANGES.items():
            yield Hostile(
                "files", f"{kind}: {name}", partial(_damaged, kind, change), says="refused"
            )
    for name, link in _LINKS.items():
        yield Hostile("files", name, partial(_beside, link), (0, 1))
    for kind in _RUNTIMES:
        for seed in range(_SEEDS):
            yield Hostile("parsers", f"{kind} {seed}", partial(_mutated, kind, seed), (0, 1))


def _record(draft: Draft, kind: str) -> dict[str, Any]:
    """The record of the first file of a kind."""
    if kind == "vectors":
        record: dict[str, Any] = draft.manifest["vectors"][0]["file"]
        return record
    files = [file for artifact in draft.manifest["artifacts"] for file in artifact["files"]]
    return next(file for file in files if file["path"].startswith(kind))


def _damaged(kind: str, change: Callable[[Path], Any], folder: Path, bases: Bases) -> list[str]:
    draft = Draft(bases.bundle, folder)
    change(draft.path / _record(draft, kind)["path"])
    return verify(draft.path)


def _shorter(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _one_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _instead(make: Callable[[Path], Any], path: Path) -> None:
    path.unlink()
    make(path)


def _link(target: str, path: Path) -> None:
    path.symlink_to(target)


def _moved(path: Path) -> None:
    """The same bytes, by way of a link."""
    path.rename(path.with_name("moved"))
    path.symlink_to("moved")


_CHANGES: dict[str, Callable[[Path], Any]] = {
    "shorter by a byte": _shorter,
    "another bit": _one_bit,
    "missing": Path.unlink,
    "a pipe": partial(_instead, os.mkfifo),
    "a folder": partial(_instead, os.mkdir),
    "a link to /dev/zero": partial(_instead, partial(_link, "/dev/zero")),
    "a link to its bytes": _moved,
    "a link to itself": partial(_instead, lambda path: path.symlink_to(path.name)),
}


def _beside(change: Callable[[Path, Bases], Any], folder: Path, bases: Bases) -> list[str]:
    draft = Draft(bases.bundle, folder)
    change(draft.path, bases)
    return verify(draft.path)


def _secret_card(path: Path, bases: Bases) -> None:
    _card_of(str(bases.secret), path, bases)


def _card_of(target: str, path: Path, bases: Bases) -> None:
    (path / "README.md").unlink()
    (path / "README.md").symlink_to(target)


def _report_of(target: str, path: Path, bases: Bases) -> None:
    (path / "report.json").unlink(missing_ok=True)
    (path / "report.json").symlink_to(target)


def _pipe(name: str, path: Path, bases: Bases) -> None:
    (path / name).unlink(missing_ok=True)
    os.mkfifo(path / name)


def _written(name: str, text: bytes, path: Path, bases: Bases) -> None:
    (path / name).write_bytes(text)


_LINKS: dict[str, Callable[[Path, Bases], Any]] = {
    "README.md is a link to a secret": _secret_card,
    "README.md is a link to the variables": partial(_card_of, "/proc/self/environ"),
    "README.md is a link to /dev/zero": partial(_card_of, "/dev/zero"),
    "README.md is a link to itself": partial(_card_of, "README.md"),
    "README.md is large": partial(_written, "README.md", b"x" * (2 << 20)),
    "README.md is not UTF-8": partial(_written, "README.md", b"\xff\xfe\x1b[2J"),
    "report.json is a link to /dev/zero": partial(_report_of, "/dev/zero"),
    "report.json is no JSON": partial(_written, "report.json", b"{"),
    "report.json is nested deeply": partial(_written, "report.json", b"[" * 100_000),
    "README.md is a pipe": partial(_pipe, "README.md"),
    "report.json is a pipe": partial(_pipe, "report.json"),
    "report.html is a pipe": partial(_pipe, "report.html"),
    "report.html is there": partial(_written, "report.html", b"<script>alert(1)</script>"),
    "a file beside the artifacts": partial(_written, "more.bin", b"x"),
}


def _mutated(kind: str, seed: int, folder: Path, bases: Bases) -> list[str]:
    """Some bytes are others, and the digests say so."""
    draft = Draft(bases.bundle, folder)
    record = _record(draft, kind)
    content = bytearray((draft.path / record["path"]).read_bytes())
    choose = random.Random(seed)
    for _ in range(1 + seed):
        content[choose.randrange(len(content))] = choose.randrange(256)
    if seed % 4 == 3:
        del content[choose.randrange(len(content)) :]
    draft.replace(record, bytes(content))
    return verify(draft.save(), _RUNTIMES[kind])
