"""Manifests that are none, that lie, or that lead elsewhere."""

import json
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from verify.hostile.case import Hostile
from verify.hostile.draft import Bases, Draft

_VERIFY = ["--runtime", "litert", "--time-limit", "20", "--total-limit", "60"]


def verify(path: Path, runtime: str = "litert") -> list[str]:
    """The command that verifies a bundle in one runtime."""
    return ["verify", str(path), "--runtime", runtime, *_VERIFY[2:]]


def cases() -> Iterator[Hostile]:
    for name, text in _TEXTS.items():
        yield Hostile("manifest", name, partial(_text, text), says="manifest.json")
    for field in _FIELDS:
        yield Hostile("manifest", f"without {field}", partial(_without, field), says=field)
        for kind, value in (("a number", 7), ("nothing", None), ("a list of lists", [[[]]])):
            setting = partial(_set, field, value)
            yield Hostile("manifest", f"{field} is {kind}", partial(_changed, setting), says=field)
    for name, (change, says) in _CHANGES.items():
        yield Hostile("manifest", name, partial(_changed, change), says=says)
    for name, place in _PLACES.items():
        yield Hostile("manifest", name, partial(_placed, place), says="manifest.json")


_TEXTS: dict[str, bytes] = {
    "empty": b"",
    "no JSON": b"{",
    "a list": b"[]",
    "a string": b'"manifest"',
    "a number": b"1e999",
    "NaN": b"NaN",
    "nested deeply": b"[" * 100_000 + b"]" * 100_000,
    "nested deeply in a field": b'{"model": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001,
    "not UTF-8": b"\xff\xfe\x00",
    "NUL bytes": b"\0" * 1000,
    "larger than its limit": b" " * ((64 << 20) + 1),
}
_FIELDS = (
    "schema",
    "model",
    "source",
    "packages",
    "signatures",
    "functions",
    "artifacts",
    "vectors",
)


def _text(text: bytes, folder: Path, bases: Bases) -> list[str]:
    draft = Draft(bases.bundle, folder)
    (draft.path / "manifest.json").write_bytes(text)
    return verify(draft.path)


def _without(field: str, folder: Path, bases: Bases) -> list[str]:
    draft = Draft(bases.bundle, folder)
    del draft.manifest[field]
    return verify(draft.save())


def _changed(change: Callable[[Draft], Any], folder: Path, bases: Bases) -> list[str]:
    draft = Draft(bases.bundle, folder)
    change(draft)
    return verify(draft.save())


def _set(field: str, value: Any, draft: Draft) -> None:
    draft.manifest[field] = value


def _rename_model(name: str, draft: Draft) -> None:
    draft.manifest["model"] = name


def _path(path: str, draft: Draft) -> None:
    """An artifact's file and endpoint that are elsewhere."""
    draft.artifact["files"][0]["path"] = path
    for endpoint in draft.artifact["endpoints"].values():
        endpoint["path"] = path


def _endpoint(path: str, draft: Draft) -> None:
    for endpoint in draft.artifact["endpoints"].values():
        endpoint["path"] = path


def _shape(shape: list[Any], draft: Draft) -> None:
    for signature in draft.manifest["signatures"].values():
        for spec in (*signature["inputs"].values(), *signature["outputs"].values()):
            spec["shape"] = shape


def _dtype(dtype: str, draft: Draft) -> None:
    for signature in draft.manifest["signatures"].values():
        for spec in signature["inputs"].values():
            spec["dtype"] = dtype


def _budget(budget: dict[str, float], draft: Draft) -> None:
    outputs = {
        name: dict.fromkeys(signature["outputs"], budget)
        for name, signature in draft.manifest["signatures"].items()
        if name in draft.artifact["endpoints"]
    }
    draft.artifact["budgets"] = outputs


def _rename_signature(name: str, draft: Draft) -> None:
    text = json.dumps(draft.manifest).replace('"serving_default"', json.dumps(name))
    draft.manifest = json.loads(text)


_HIDDEN = r"characters that are not shown"
_CHANGES: dict[str, tuple[Callable[[Draft], Any], str]] = {
    "another schema": (partial(_set, "schema", "portproof/manifest/99"), "schema"),
    "a field that is unknown": (partial(_set, "command", "rm"), "command"),
    "an artifact outside": (partial(_path, "../../outside.tflite"), "outside|missing"),
    "an artifact at an absolute path": (partial(_path, "/etc/passwd"), "outside"),
    "an artifact behind a dot": (partial(_path, "./tflite/../../x"), "outside"),
    "an artifact with a backslash": (partial(_path, "..\\..\\x"), "missing"),
    "an artifact with a NUL": (partial(_path, "tflite/\0"), _HIDDEN),
    "an artifact that is a folder": (partial(_path, "vectors"), "missing"),
    "an endpoint outside": (partial(_endpoint, "../x"), "no file of"),
    "an endpoint of the vectors": (partial(_endpoint, "vectors"), "no file of"),
    "an endpoint that is absolute": (partial(_endpoint, "/etc"), "no file of"),
    "a negative shape": (partial(_shape, [-1, 4]), "shape"),
    "a shape of 10^30": (partial(_shape, [10**30]), "shape"),
    "a shape of 3 * 10^9": (partial(_shape, [3 * 10**9]), "proves nothing|wrong|failed"),
    "a shape of a string": (partial(_shape, ["x"]), "shape"),
    "a dtype that is unknown": (partial(_dtype, "float8"), "dtype"),
    "a dtype of strings": (partial(_dtype, "string"), "dtype"),
    "another dtype": (partial(_dtype, "int32"), "proves nothing|wrong|failed"),
    "a budget of -1000 dB of a plain file": (partial(_budget, {"sqnr": -1000.0}), "only a variant"),
    "a budget of 10^9 LSB of a plain file": (
        partial(_budget, {"step": 1.0, "lsb": 1e9}),
        "only a variant",
    ),
    "a budget without a limit": (partial(_budget, {}), "budget"),
    "a name with an escape sequence": (partial(_rename_model, "a\x1b[2J"), _HIDDEN),
    "a name with a line of its own": (partial(_rename_model, "a\nproven: all"), _HIDDEN),
    "a name that is turned around": (partial(_rename_model, "a\u202eb"), _HIDDEN),
    "a name of half a pair": (partial(_rename_model, "a\ud800"), "manifest.json"),
    "a signature with an escape sequence": (partial(_rename_signature, "a\x1b]0;x\x07"), _HIDDEN),
    "a format with a new line": (
        lambda draft: draft.artifact.update(format="tflite\n- x"),
        "format|not shown",
    ),
    "a format that is a path": (lambda draft: draft.artifact.update(format="../x"), "format"),
    "a variant that is a path": (lambda draft: draft.artifact.update(variant="../x"), "variant"),
    "a signature without outputs": (
        lambda draft: draft.manifest["signatures"].update(nothing={"inputs": {}, "outputs": {}}),
        "outputs",
    ),
    "no vectors": (partial(_set, "vectors", []), "vectors"),
    "no artifacts": (partial(_set, "artifacts", []), "artifacts"),
    "no signatures": (partial(_set, "signatures", {}), "signatures|signature"),
    "a million layers": (
        partial(_set, "layers", ["x" * 50] * 1_300_000),
        "manifest.json",
    ),
}


def _link_to(target: str, path: Path) -> None:
    path.symlink_to(target)


_PLACES: dict[str, Callable[[Path], Any]] = {
    "a pipe": os.mkfifo,
    "a link to /dev/zero": partial(_link_to, "/dev/zero"),
    "a link to /etc/passwd": partial(_link_to, "/etc/passwd"),
    "a link to itself": partial(_link_to, "manifest.json"),
    "a folder": os.mkdir,
}


def _placed(place: Callable[[Path], Any], folder: Path, bases: Bases) -> list[str]:
    draft = Draft(bases.bundle, folder)
    (draft.path / "manifest.json").unlink()
    place(draft.path / "manifest.json")
    return verify(draft.path)
