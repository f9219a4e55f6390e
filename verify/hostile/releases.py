"""What is fetched from an address: releases that are none, and servers that do as they like."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from verify.hostile.case import Hostile
from verify.hostile.draft import Bases

_TIMES = ["--runtime", "litert", "--time-limit", "20"]
_SUMS, _STATEMENT = "SHA256SUMS", "verification.intoto.json"


def cases() -> Iterator[Hostile]:
    for name, (change, says) in _CHANGES.items():
        yield Hostile("releases", name, partial(_changed, change), (1, 2), says)
    for name, text in _STATEMENTS.items():
        build = partial(_changed, partial(_resummed, _STATEMENT, text))
        yield Hostile("releases", f"a statement that is {name}", build, (1, 2), "statement")
    for path, seconds in _SERVED.items():
        build = partial(_server, path)
        yield Hostile("servers", path.replace("-", " "), build, (1, 2), seconds)


def released(bundle: Path, folder: Path) -> Path:
    """A folder as it would be published, without a signature."""
    target = folder / "release"
    shutil.copytree(bundle, target)
    statement = {"predicate": {"version": target.name, "result": "UNVERIFIED"}}
    (target / _STATEMENT).write_text(json.dumps(statement))
    write_sums(target)
    return target


def write_sums(folder: Path) -> None:
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != _SUMS)
    lines = [
        f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.relative_to(folder).as_posix()}\n"
        for p in paths
    ]
    (folder / _SUMS).write_text("".join(lines))


def _changed(change: Callable[[Path], Any], folder: Path, bases: Bases) -> list[str]:
    release = released(bases.bundle, folder)
    change(release)
    return ["verify", f"file://{release}", *_TIMES, "--total-limit", "60"]


def _server(path: str, folder: Path, bases: Bases) -> list[str]:
    """The corpus's own server, which the address leads to."""
    return ["verify", f"{bases.server}/{path}", *_TIMES, "--total-limit", "8"]


def _resummed(name: str, text: bytes, release: Path) -> None:
    (release / name).write_bytes(text)
    write_sums(release)


def _sums(text: bytes, release: Path) -> None:
    (release / _SUMS).write_bytes(text)


def _sums_are(make: Callable[[Path], Any], release: Path) -> None:
    (release / _SUMS).unlink()
    make(release / _SUMS)


def _more_sums(line: str, release: Path) -> None:
    with (release / _SUMS).open("a") as stream:
        stream.write(f"{'0' * 64}  {line}\n")


def _deep_index(release: Path) -> None:
    (release / "index.json").write_bytes(b"[" * 100_000)


def _index(latest: str, release: Path) -> None:
    index = {"schema": "portproof/index/1", "latest": latest, "versions": {latest: {}}}
    (release / "index.json").write_text(json.dumps(index))


_CHANGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no sums": (lambda release: (release / _SUMS).unlink(), "no published bundle"),
    "empty sums": (partial(_sums, b""), "statement|not in|manifest|SHA256SUMS"),
    "sums that are none": (partial(_sums, b"\xff\xfe\0" * 100), "damaged"),
    "sums with a path outside": (partial(_more_sums, "../../escaped"), "damaged"),
    "sums with an absolute path": (partial(_more_sums, "/etc/passwd"), "damaged"),
    "sums with a path that is not there": (partial(_more_sums, "nothing"), "not there"),
    "sums with a drive": (partial(_more_sums, "C:/x"), "damaged"),
    "sums of 65 MB": (partial(_sums, b"x" * ((64 << 20) + 1)), "more than|damaged"),
    "sums that are a folder": (partial(_sums_are, os.mkdir), ""),
    "a file that is another": (
        lambda release: (release / "manifest.json").write_text("{}"),
        "differs",
    ),
    "a manifest that is none": (partial(_resummed, "manifest.json", b"[]"), "damaged"),
    "an index nested deeply": (_deep_index, "damaged"),
    "an index that leads elsewhere": (partial(_index, "../.."), "damaged"),
    "an index of nothing": (partial(_index, "1.0"), "no published bundle"),
}
_STATEMENTS = {
    "a list": b"[]",
    "a string": b'"x"',
    "a number": b"1",
    "null": b"null",
    "nested deeply": b"[" * 100_000,
    "no JSON": b"{",
    "without a predicate": b"{}",
    "a predicate of a list": b'{"predicate": []}',
    "a payload that is none": b'{"payload": 7}',
    "a payload of no base64": b'{"payload": "%%%"}',
    "large": b" " * (2 << 20),
}
# What the server does at a path, and what is said of it.
_SERVED = {
    "drips": "not fetched within",
    "hangs": "not fetched within",
    "never-ends": "more than|not fetched within",
    "breaks-off": "",
    "redirects-to-itself": "",
}
