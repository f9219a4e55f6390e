"""Wrong artifacts that load and run."""

from pathlib import Path

import numpy as np
import onnx


def scale_weights(file: Path, factor: float = 1.01) -> None:
    """Make the first weights of an ONNX file a little larger."""
    model = onnx.load(file)
    weights = next(i for i in model.graph.initializer if i.data_type == onnx.TensorProto.FLOAT)
    values = onnx.numpy_helper.to_array(weights)
    changed = (values * np.float32(factor)).astype(np.float32)
    weights.CopyFrom(onnx.numpy_helper.from_array(changed, weights.name))
    onnx.save(model, file)
