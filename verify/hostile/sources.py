"""Files of models and of inputs that are none, given to an export."""

import io
import json
import os
import struct
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from verify.hostile.case import Hostile
from verify.hostile.draft import Bases

_Make = Callable[[Path, Bases], Any]


def cases() -> Iterator[Hostile]:
    for name, (make, status, says) in _MODELS.items():
        yield Hostile("models", name, partial(_model, make), status, says)
    yield Hostile("models", "into a link to itself", _into_a_loop, (1, 2), "")
    for name, (suffix, make, says) in _INPUTS.items():
        # One array alone is the one input, whatever it is called.
        status = (0,) if name == "an .npz of other names" else (1, 2)
        yield Hostile("inputs", name, partial(_inputs, suffix, make), status, says)


def _into_a_loop(folder: Path, bases: Bases) -> list[str]:
    (folder / "out").symlink_to("out")
    return _export(bases.model, folder)


def _export(path: Path, folder: Path, *more: str) -> list[str]:
    output = str(folder / "out")
    return [
        "export",
        str(path),
        "--output",
        output,
        "--format",
        "savedmodel",
        "--total-limit",
        "90",
        *more,
    ]


def _model(make: _Make, folder: Path, bases: Bases) -> list[str]:
    path = folder / "model.keras"
    path = make(path, bases) or path
    return _export(path, folder)


def _inputs(suffix: str, make: _Make, folder: Path, bases: Bases) -> list[str]:
    path = folder / f"inputs.{suffix}"
    make(path, bases)
    return _export(bases.model, folder, "--inputs", str(path))


def _with_config(
    config: bytes, path: Path, bases: Bases, method: int = zipfile.ZIP_DEFLATED
) -> None:
    """The honest file with another config."""
    with zipfile.ZipFile(bases.model) as old, zipfile.ZipFile(path, "w", method) as new:
        for name in old.namelist():
            new.writestr(name, config if name == "config.json" else old.read(name))


def _layer(class_name: str, config: dict[str, Any], module: str = "keras.layers") -> bytes:
    """A config of one layer more, by name."""
    inputs = {
        "module": "keras.layers",
        "class_name": "InputLayer",
        "config": {"batch_shape": [None, 4]},
    }
    own = {"module": module, "class_name": class_name, "config": config}
    layers = [inputs, own]
    return json.dumps(
        {"module": "keras", "class_name": "Sequential", "config": {"name": "s", "layers": layers}}
    ).encode()


def _shorter(part: float, path: Path, bases: Bases) -> None:
    content = bases.model.read_bytes()
    path.write_bytes(content[: int(part * len(content))])


def _flipped(path: Path, bases: Bases) -> None:
    content = bytearray(bases.model.read_bytes())
    content[30 + 13 + 40] ^= 255
    path.write_bytes(content)


def _locked(path: Path, bases: Bases) -> None:
    """Marked as encrypted, as its entries and their list say in a bit."""
    content = bytearray(bases.model.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = -1
        while (at := content.find(mark, at + 1)) >= 0:
            content[at + offset] |= 1
    path.write_bytes(content)


def _bomb(path: Path, bases: Bases) -> None:
    _with_config(b" " * (1 << 30), path, bases)


def _named(name: str, path: Path, bases: Bases) -> Path:
    other = path.with_name(name)
    other.write_bytes(bases.model.read_bytes())
    return other


def _bytes(content: bytes, path: Path, bases: Bases) -> None:
    path.write_bytes(content)


def _pipe(path: Path, bases: Bases) -> None:
    os.mkfifo(path)


def _zero(path: Path, bases: Bases) -> None:
    path.symlink_to("/dev/zero")


_SIMPLE = (1, 2)
_MODELS: dict[str, tuple[_Make, tuple[int, ...], str]] = {
    "empty": (partial(_bytes, b""), _SIMPLE, "whole"),
    "no archive": (partial(_bytes, b"x" * 1000), _SIMPLE, "whole"),
    "half of it": (partial(_shorter, 0.5), _SIMPLE, "whole"),
    "all but a bit": (partial(_shorter, 0.99), _SIMPLE, "whole"),
    "a byte is another": (_flipped, (0, 1, 2), ""),
    "locked with a password": (_locked, _SIMPLE, "whole|load"),
    "a config of 1 GiB": (_bomb, _SIMPLE, "more than"),
    "a config that is nested deeply": (
        partial(_with_config, b"[" * 200_000 + b"]" * 200_000),
        _SIMPLE,
        "deeply",
    ),
    "a config that is none": (partial(_with_config, b"{}"), _SIMPLE, "load"),
    "a config that is a list": (partial(_with_config, b"[]"), _SIMPLE, "load"),
    "a config that is no JSON": (partial(_with_config, b"{"), _SIMPLE, "whole"),
    "a Lambda": (partial(_with_config, _layer("Lambda", {"name": "l"})), _SIMPLE, "Lambda"),
    "a module of PyTorch": (
        partial(_with_config, _layer("TorchModuleWrapper", {"module": "gASVAAAAAAA="})),
        _SIMPLE,
        "load",
    ),
    "a layer of os": (
        partial(_with_config, _layer("system", {"command": "true"}, "os")),
        _SIMPLE,
        "load|know",
    ),
    "a layer of enormous size": (
        partial(_with_config, _layer("Dense", {"units": 10**12})),
        _SIMPLE,
        "",
    ),
    "named ..keras": (partial(_named, "..keras"), _SIMPLE, "name"),
    "named .keras": (partial(_named, ".keras"), _SIMPLE, "name|cannot be exported"),
    "a pipe": (_pipe, _SIMPLE, "regular file"),
    "a link to /dev/zero": (_zero, _SIMPLE, "regular file"),
}


def _npz(entries: dict[str, bytes], path: Path, bases: Bases) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)


def _npy(shape: tuple[int, ...], dtype: str = "<f4", data: bytes = b"") -> bytes:
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (63 - (len(header) + 10) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def _objects(path: Path, bases: Bases) -> None:
    np.savez(path, x=np.array([{"a": 1}], dtype=object))


def _whole() -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, x=np.ones((2, 4), np.float32))
    return stream.getvalue()


def _torn() -> bytes:
    """An archive whose compressed bytes are others."""
    content = bytearray(_whole())
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        [entry] = archive.infolist()
        names = struct.unpack_from("<HH", content, entry.header_offset + 26)
    start = entry.header_offset + 30 + sum(names)
    for n in range(start, start + entry.compress_size):
        content[n] ^= 255
    return bytes(content)


_INPUTS: dict[str, tuple[str, _Make, str]] = {
    "an empty .npz": ("npz", partial(_bytes, b""), "cannot be read"),
    "an .npz that is none": ("npz", partial(_bytes, b"PK\x03\x04" + b"x" * 99), "cannot be read"),
    "an .npz with torn bytes": ("npz", partial(_bytes, _torn()), "cannot be read"),
    "an .npz of objects": ("npz", _objects, "cannot be read"),
    "an .npz of 4 TiB": (
        "npz",
        partial(_npz, {"x.npy": _npy((1 << 20, 1 << 20))}),
        "memory|cannot",
    ),
    "an .npz of other names": (
        "npz",
        partial(_npz, {"../../x.npy": _npy((2, 4), data=b"\0" * 32)}),
        "",
    ),
    "an .npy of objects": ("npy", partial(_bytes, _npy((1,), "|O")), "cannot be read"),
    "an .npy of a dtype that is code": (
        "npy",
        partial(_bytes, _npy((1,), "__import__")),
        "cannot be read",
    ),
    "a safetensors file that is none": (
        "safetensors",
        partial(_bytes, b"x" * 100),
        "cannot be read",
    ),
    "a pipe": ("npz", _pipe, "regular file"),
    "a link to /dev/zero": ("npy", _zero, "regular file|cannot be read"),
    "another suffix": ("pkl", partial(_bytes, b"x"), "read from"),
}
