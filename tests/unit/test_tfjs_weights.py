"""Weights of TF.js models, as tfjs-core reads them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from portproof.formats import tfjs_weights
from portproof.formats.tfjs_weights import write_weights


def content(folder: Path, paths: list[str]) -> bytes:
    return b"".join((folder / path).read_bytes() for path in paths)


def test_weights_are_concatenated(tmp_path: Path) -> None:
    weights = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3).T,
        "b": np.array(True),
        "c": np.array([1, -2], np.int64),
        "d": np.array([0.5], np.float16),
        "e": np.zeros((0, 3), np.float32),
    }
    [group] = write_weights(weights, tmp_path)
    assert group["paths"] == ["group1-shard1of1.bin"]
    assert [(w["name"], w["shape"], w["dtype"]) for w in group["weights"]] == [
        ("a", [3, 2], "float32"),
        ("b", [], "bool"),
        ("c", [2], "int32"),
        ("d", [1], "float32"),
        ("e", [0, 3], "float32"),
    ]
    expected = [
        weights["a"].astype("<f4").tobytes(),
        b"\x01",
        np.array([1, -2], "<i4").tobytes(),
        np.array([0.5], "<f4").tobytes(),
    ]
    assert content(tmp_path, group["paths"]) == b"".join(expected)


def test_a_string_is_preceded_by_its_length(tmp_path: Path) -> None:
    [group] = write_weights({"s": np.array(["ä", b"bc"], object)}, tmp_path)
    assert group["weights"][0]["dtype"] == "string"
    written = content(tmp_path, group["paths"])
    assert written == b"\x02\0\0\0" + "ä".encode() + b"\x02\0\0\0bc"


@pytest.mark.parametrize("count", [0, 3, 4, 5, 13])
def test_shards_are_as_long_as_allowed(
    count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tfjs_weights, "SHARD", 16)
    weights = {f"w{n}": np.full(1, n, np.float32) for n in range(count)}
    [group] = write_weights(weights, tmp_path)
    sizes = [(tmp_path / path).stat().st_size for path in group["paths"]]
    assert sum(sizes) == 4 * count
    assert all(size == 16 for size in sizes[:-1])
    assert len(sizes) == -(-count // 4)
    assert content(tmp_path, group["paths"]) == np.arange(count, dtype="<f4").tobytes()


def test_a_dtype_that_tfjs_does_not_have_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"the weight w is uint32, which TF\.js does not have"):
        write_weights({"w": np.zeros(2, np.uint32)}, tmp_path)


@pytest.mark.parametrize(
    "array", [np.array([1, 1 << 40]), np.array([[0.0, -1e300]]), np.array(1e300 + 0j)]
)
def test_a_number_that_its_dtype_there_cannot_hold_is_named(array: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"the weight w holds .*, which is no "):
        write_weights({"w": array}, tmp_path)
    infinite = np.array([np.inf, np.nan])
    [group] = write_weights({"w": infinite}, tmp_path)
    assert content(tmp_path, group["paths"]) == infinite.astype("<f4").tobytes()


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16])
def test_small_integers_become_int32(dtype: Any, tmp_path: Path) -> None:
    [group] = write_weights({"w": np.array([3, 100], dtype)}, tmp_path)
    assert group["weights"][0]["dtype"] == "int32"
    assert content(tmp_path, group["paths"]) == np.array([3, 100], "<i4").tobytes()
