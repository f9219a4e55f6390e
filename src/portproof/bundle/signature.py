"""Named inputs and outputs with dtype and shape, as in a SavedModel's SignatureDef."""

import math
from typing import Any

import ml_dtypes
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

_NUMPY_DTYPES = (
    "float16",
    "float32",
    "float64",
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
)
# What a bundle can carry. Strings, ragged, sparse and resource tensors are none of these.
DTYPES: dict[str, np.dtype[Any]] = {
    **{name: np.dtype(name) for name in _NUMPY_DTYPES},
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
}


class Record(BaseModel):
    """Base of what is read from or written to JSON: strict, and immutable."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


# Elements that a tensor may have: more than any machine's memory has room for.
_MAX_ELEMENTS = 1 << 40


class TensorSpec(Record):
    """A tensor's dtype (a key of `DTYPES`) and shape; `None` is a dynamic dimension."""

    dtype: str
    shape: tuple[int | None, ...]

    @field_validator("dtype")
    @classmethod
    def _is_known(cls, dtype: str) -> str:
        if dtype not in DTYPES:
            raise ValueError(f"dtype {dtype!r} is none of {', '.join(DTYPES)}")
        return dtype

    @field_validator("shape")
    @classmethod
    def _is_possible(cls, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        sizes = [size for size in shape if size is not None]
        if any(size < 0 for size in sizes) or math.prod(sizes) > _MAX_ELEMENTS:
            raise ValueError(f"no tensor has the shape {list(shape)}")
        return shape

    def accepts(self, array: np.ndarray[Any, Any]) -> bool:
        """Whether `array` has this dtype and a shape that this one allows."""
        return (
            array.dtype == DTYPES[self.dtype]
            and array.ndim == len(self.shape)
            and all(d in (None, n) for d, n in zip(self.shape, array.shape, strict=True))
        )

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join('?' if d is None else str(d) for d in self.shape)}]"


class Signature(Record):
    """One callable of a model: its inputs and outputs by name."""

    inputs: dict[str, TensorSpec]
    outputs: dict[str, TensorSpec] = Field(min_length=1)

    @property
    def batched(self) -> bool:
        """Whether every input has a dynamic first dimension."""
        shapes = [spec.shape for spec in self.inputs.values()]
        return bool(shapes) and all(shape[:1] == (None,) for shape in shapes)

    def __str__(self) -> str:
        def listed(specs: dict[str, TensorSpec]) -> str:
            return ", ".join(f"{name}: {spec}" for name, spec in specs.items())

        return f"({listed(self.inputs)}) -> ({listed(self.outputs)})"
