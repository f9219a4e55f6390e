"""Arrays written to a file are read back bit for bit."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from portproof.bundle import tensors
from portproof.bundle.errors import BundleError
from portproof.bundle.signature import DTYPES


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray:
    """Any bits, in any dtype, shape and memory order that a bundle carries."""
    dtype = DTYPES[draw(st.sampled_from(sorted(DTYPES)))]
    shape = draw(npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    size = int(np.prod(shape)) * dtype.itemsize
    bits = np.frombuffer(draw(st.binary(min_size=size, max_size=size)), np.uint8)
    values = (bits % 2).astype(np.bool_) if dtype == np.bool_ else bits.view(dtype)
    array = values.reshape(shape)
    return draw(
        st.sampled_from([array, array.T, np.asfortranarray(array), array[::-1] if shape else array])
    )


@given(
    written=st.dictionaries(
        st.text(min_size=1, max_size=5).filter(lambda s: s != "__metadata__"), arrays(), max_size=3
    )
)
def test_every_array_is_read_back_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, written: dict[str, np.ndarray]
) -> None:
    path = tmp_path_factory.mktemp("tensors") / "file"
    tensors.write(path, written)
    read = tensors.read(path)
    assert read.keys() == written.keys()
    for name, array in written.items():
        assert (read[name].shape, read[name].dtype) == (array.shape, array.dtype)
        assert read[name].tobytes() == array.tobytes()


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 64, b"\x02\0\0\0\0\0\0\0{}"[:9]])
def test_a_file_that_is_not_safetensors_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(BundleError, match="cannot be read as safetensors"):
        tensors.read(tmp_path / "file")
