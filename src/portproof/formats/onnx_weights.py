"""ONNX models whose large weights lie in a file beside them: of 2 GB no ONNX file is possible.

onnx/docs/ExternalData.md describes them. The model is `NAME.onnx`, and the file `NAME.onnx.data`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx

# Where a tensor may begin in the file, so that it can be mapped into memory: the pages of Windows,
# which are the largest.
_ALIGNMENT = 1 << 16


def save(model: Any, weights: Mapping[str, np.ndarray[Any, Any]], path: Path) -> None:
    """Write a model, and those of its inputs that are weights into a file beside it.

    Args:
        model: The model.
        weights: By input, its value.
        path: Where the model is written.
    """
    inputs = [put for put in model.graph.input if put.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    data = path.with_name(f"{path.name}.data")
    with data.open("wb") as stream:
        for name, value in weights.items():
            stream.seek(-stream.tell() % _ALIGNMENT, 1)
            model.graph.initializer.append(_external(name, value, data.name, stream.tell()))
            np.ascontiguousarray(value).tofile(stream)
    onnx.save(model, path)


def _external(name: str, value: np.ndarray[Any, Any], location: str, offset: int) -> Any:
    tensor = onnx.TensorProto(
        name=name,
        dims=value.shape,
        data_type=onnx.helper.np_dtype_to_tensor_dtype(value.dtype),
        data_location=onnx.TensorProto.EXTERNAL,
    )
    places = {"location": location, "offset": offset, "length": value.nbytes}
    for key, place in places.items():
        tensor.external_data.add(key=key, value=str(place))
    return tensor
