"""How an artifact's own tensor differs from the signature's, and the way there and back.

Converters change layouts on purpose: channels come first, the axis of one row is dropped, floats
are integers of a scale. The numbers are the same in another form.
"""

from typing import Any

import numpy as np
from pydantic import Field, model_validator

from portproof.bundle.signature import DTYPES, Record, TensorSpec
from portproof.bundle.tensors import Arrays, Infer, row_by_row

Array = np.ndarray[Any, Any]


class Form(Record):
    """One tensor's own form.

    Attributes:
        axes: For each of its axes, the signature's axis that it is; empty: the same.
        one_row: Whether it lacks the first axis, so that it takes one row.
        dtype: Its dtype; empty: the signature's.
        scale: Of integers in the place of floats: what one step is.
        zero_point: The integer that is zero.
    """

    axes: tuple[int, ...] = ()
    one_row: bool = False
    dtype: str = ""
    scale: float | None = Field(default=None, gt=0)
    zero_point: int = 0

    @model_validator(mode="after")
    def _is_possible(self) -> "Form":
        if self.axes and sorted(self.axes) != list(range(len(self.axes))):
            raise ValueError(f"{list(self.axes)} is no order of axes")
        if self.dtype and self.dtype not in DTYPES:
            raise ValueError(f"there is no dtype {self.dtype!r}")
        if self.scale is not None and not np.issubdtype(DTYPES.get(self.dtype, float), np.integer):
            raise ValueError("a scale is of integers")
        return self

    def own(self, array: Array) -> Array:
        """The signature's array as the artifact has it. Raises ValueError where that cannot be."""
        if self.axes:
            array = array.transpose(self.axes)
        if self.one_row:
            array = array[0]
        if not self.dtype:
            return array
        dtype = DTYPES[self.dtype]
        if self.scale is not None:
            limits = np.iinfo(dtype)
            steps = np.rint(array.astype(np.float64) / self.scale) + self.zero_point
            steps = np.nan_to_num(steps, nan=self.zero_point)
            quantised: Array = np.clip(steps, limits.min, limits.max).astype(dtype)
            return quantised
        narrowed = array.astype(dtype)
        if not np.array_equal(narrowed, array):
            raise ValueError(f"the artifact takes {self.dtype}, which does not hold these integers")
        return narrowed

    def signatures(self, array: Array, spec: TensorSpec) -> Array:
        """The artifact's array as the signature has it. Raises ValueError where it does not fit."""
        if self.dtype and array.dtype == DTYPES[self.dtype]:
            if self.scale is not None:
                array = (array.astype(np.float64) - self.zero_point) * self.scale
            given, array = array, array.astype(DTYPES[spec.dtype])
            if self.scale is None and not np.array_equal(given, array):
                raise ValueError(f"the artifact gave {self.dtype} that {spec.dtype} does not hold")
        if self.one_row:
            array = array[np.newaxis]
        if self.axes and array.ndim == len(self.axes):
            array = array.transpose(np.argsort(self.axes))
        return array

    def __str__(self) -> str:
        parts = [f"axes {list(self.axes)}"] if self.axes else []
        parts += ["without the axis of the rows"] if self.one_row else []
        if self.scale is not None:
            parts.append(f"{self.dtype} in steps of {self.scale:.3g} from {self.zero_point}")
        elif self.dtype:
            parts.append(self.dtype)
        return ", ".join(parts)


def translated(
    infer: Infer,
    names: tuple[dict[str, str], dict[str, str]],
    forms: tuple[dict[str, Form], dict[str, Form]],
    outputs: dict[str, TensorSpec],
) -> Infer:
    """A call by the signature's names and forms, of one by the artifact's own.

    Args:
        infer: The artifact's call.
        names: The artifact's names of inputs and of outputs, by the signature's.
        forms: The forms of inputs and of outputs, by the signature's names.
        outputs: The signature's outputs.

    An output that the signature does not have keeps its name. The call raises ValueError where two
    would get one name, or an input cannot be given.
    """
    signature_names = {own: name for name, own in names[1].items()}

    def call(inputs: Arrays) -> Arrays:
        plain = Form()
        own = {names[0][n]: forms[0].get(n, plain).own(array) for n, array in inputs.items()}
        results = infer(own)
        translated_names = {n: signature_names.get(n, n) for n in results}
        if len(set(translated_names.values())) < len(results):
            raise ValueError(f"two outputs of one name among {', '.join(results)}")
        return {
            (name := translated_names[n]): forms[1][name].signatures(array, outputs[name])
            if name in forms[1] and name in outputs
            else array
            for n, array in results.items()
        }

    one_row = any(form.one_row for of_kind in forms for form in of_kind.values())
    return row_by_row(call) if one_row else call
