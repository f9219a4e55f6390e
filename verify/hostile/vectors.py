"""Test vectors that prove nothing, and files of vectors that are none."""

import json
import struct
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from verify.hostile.case import Hostile
from verify.hostile.draft import Arrays, Bases, Draft
from verify.hostile.manifests import verify

_Change = Callable[[Arrays], Arrays]


def cases() -> Iterator[Hostile]:
    for name, (change, says) in _CHANGES.items():
        # What is exact needs no bounds.
        status = (0, 1) if name == "bounds of 3e38" else (1,)
        yield Hostile("vectors", name, partial(_changed, change), status, says)
    for name, content in _FILES.items():
        yield Hostile("vectors", name, partial(_file, content), says="vectors/serving_default")
    yield Hostile("vectors", "one file for every case", _one_file, says="proves nothing")
    yield Hostile("vectors", "a sparse file of 6 GiB", _sparse, says="refused")
    yield Hostile("vectors", "cases of the model's own data alone", _typical_alone, says="failed")


def _changed(change: _Change, folder: Path, bases: Bases) -> list[str]:
    draft = Draft(bases.bundle, folder)
    draft.change_vectors(change)
    return verify(draft.save())


def _file(content: bytes, folder: Path, bases: Bases) -> list[str]:
    draft = Draft(bases.bundle, folder)
    draft.replace(draft.deciding()[0]["file"], content)
    return verify(draft.save())


def _one_file(folder: Path, bases: Bases) -> list[str]:
    draft = Draft(bases.bundle, folder)
    first = draft.manifest["vectors"][0]["file"]
    for vector in draft.manifest["vectors"]:
        vector["file"] = first
    return verify(draft.save())


def _sparse(folder: Path, bases: Bases) -> list[str]:
    draft = Draft(bases.bundle, folder)
    record = draft.deciding()[0]["file"]
    with (draft.path / record["path"]).open("r+b") as stream:
        stream.truncate(6 << 30)
    record["size"] = 6 << 30
    return verify(draft.save())


def _typical_alone(folder: Path, bases: Bases) -> list[str]:
    draft = Draft(bases.bundle, folder)
    vectors = [v for v in draft.manifest["vectors"] if v["regime"] == "typical"]
    draft.manifest["vectors"] = vectors
    return verify(draft.save())


def _every(group: str, change: Callable[[np.ndarray], np.ndarray], arrays: Arrays) -> Arrays:  # type: ignore[type-arg]
    """All arrays of a group changed."""
    return {
        name: change(array) if name.startswith(f"{group}/") else array
        for name, array in arrays.items()
    }


def _full(group: str, value: float, arrays: Arrays) -> Arrays:
    return _every(group, lambda a: np.full_like(a, value), arrays)


def _times(group: str, factor: float, arrays: Arrays) -> Arrays:
    return _every(group, lambda a: (a * factor).astype(a.dtype), arrays)


def _plus(group: str, value: float, arrays: Arrays) -> Arrays:
    return _every(group, lambda a: (a + value).astype(a.dtype), arrays)


def _all(changes: list[_Change], arrays: Arrays) -> Arrays:
    for change in changes:
        arrays = change(arrays)
    return arrays


def _without(group: str, arrays: Arrays) -> Arrays:
    return {name: array for name, array in arrays.items() if not name.startswith(f"{group}/")}


def _first_row(arrays: Arrays) -> Arrays:
    return {name: array[:1] for name, array in arrays.items()}


_NOTHING = "proves nothing"
_CHANGES: dict[str, tuple[_Change, str]] = {
    "a reference of NaN": (partial(_full, "reference", np.nan), _NOTHING + "|wrong"),
    "a reference of infinities": (partial(_full, "reference", np.inf), "wrong"),
    "a reference of zeros": (partial(_full, "reference", 0.0), "wrong"),
    "inputs that are all 1": (partial(_full, "inputs", 1.0), _NOTHING + "|wrong"),
    "inputs of NaN": (partial(_full, "inputs", np.nan), "wrong"),
    "one row in each case": (_first_row, "no case has two rows"),
    "a reference 7 times off": (partial(_times, "reference", -7.0), "wrong|own bounds"),
    "an oracle 7 times off": (partial(_times, "oracle", -7.0), "wrong|own bounds"),
    "all 7 times off": (
        partial(_all, [partial(_times, "reference", -7.0), partial(_times, "oracle", -7.0)]),
        "wrong",
    ),
    "bounds of 3e38, and a reference off by 10^6": (
        partial(_all, [partial(_full, "rounding", 3e38), partial(_plus, "reference", 1e6)]),
        _NOTHING + "|wrong",
    ),
    "bounds of 3e38": (partial(_full, "rounding", 3e38), _NOTHING),
    "bounds that are infinite": (partial(_full, "rounding", np.inf), "bound"),
    "bounds that are NaN": (partial(_full, "rounding", np.nan), "no sizes|bound"),
    "bounds that are negative": (partial(_full, "rounding", -1.0), "no sizes|bound"),
    "no oracle": (partial(_without, "oracle"), "oracle|no reference"),
    "no bounds": (partial(_without, "rounding"), "oracle"),
    "no reference": (partial(_without, "reference"), "wrong|failed"),
    "no inputs": (partial(_without, "inputs"), "failed|wrong"),
    "inputs of float64": (
        partial(_every, "inputs", lambda a: a.astype(np.float64)),
        "failed|wrong",
    ),
    "inputs of another shape": (partial(_every, "inputs", lambda a: a[:, :1]), "failed|wrong"),
    "a reference of another shape": (
        partial(_every, "reference", lambda a: a.reshape(-1)),
        "failed|wrong",
    ),
    "a name with a line of its own": (
        lambda arrays: {**arrays, "oracle/\x1b[2J\nproven: 92 exact": next(iter(arrays.values()))},
        _NOTHING + "|wrong",
    ),
    "a denormal beside bounds of 10^6": (
        lambda arrays: _all(
            [partial(_full, "rounding", 1e6), partial(_plus, "oracle", 1.0)], arrays
        ),
        "wrong|own bounds",
    ),
    "a reference that is half": (partial(_times, "reference", 0.5), "wrong|own bounds"),
}


def _safetensors(header: bytes, data: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header + data


def _one_tensor(dtype: str, shape: list[int], end: int) -> bytes:
    entry = {"inputs/x": {"dtype": dtype, "shape": shape, "data_offsets": [0, end]}}
    return _safetensors(json.dumps(entry).encode(), b"\0" * min(end, 64))


_FILES = {
    "an empty file": b"",
    "a header of 2^63 bytes": struct.pack("<Q", 1 << 63),
    "a header that is no JSON": _safetensors(b"{" * 9),
    "a header nested deeply": _safetensors(b'{"a":' * 20_000),
    "a tensor of float8": _one_tensor("F8_E4M3", [4], 4),
    "a tensor of a dtype that is unknown": _one_tensor("X9", [4], 4),
    "a tensor of 2^40 elements": _one_tensor("F32", [1 << 20, 1 << 20], 1 << 42),
    "a tensor beyond the file": _one_tensor("F32", [1000], 4000),
    "a tensor with a hole": _one_tensor("F32", [1], 9),
    "a negative shape": _one_tensor("F32", [-1], 4),
    "no tensors": _safetensors(b"{}"),
}
