"""SavedModel: the graph, its signatures and its weights. What TFLite and TF.js are made from."""

from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from bundle.manifest import Endpoint
from export.formats import canonical_graph
from export.source import Source

FOLDER = "savedmodel"


def write(source: Source, root: Path) -> dict[str, Endpoint]:
    """Write `root/savedmodel`. Its SignatureDef has the source's own names."""
    path = root / FOLDER
    concrete = {name: source.concrete(name) for name in source.functions}
    tf.saved_model.save(trackable(source.model), str(path), signatures=concrete)
    canonical_graph.rewrite(path)
    return {name: unchanged(FOLDER, source, name) for name in source.functions}


def unchanged(path: str, source: Source, signature: str) -> Endpoint:
    """An endpoint whose names are the signature's own."""
    names = source.signatures[signature]
    return Endpoint(
        path=path,
        inputs={name: name for name in names.inputs},
        outputs={name: name for name in names.outputs},
    )


def trackable(model: Any) -> Any:
    """What of a model is saved: the model itself, or a `keras.Model` without its training state."""
    return _Inference(model) if isinstance(model, keras.Model) else model


class _Inference(tf.Module):  # type: ignore[misc]
    """A Keras model's object graph without its optimizer.

    The optimizer's slots would otherwise triple the size of what is shipped. Names stay as they
    are, so `tf.train.Checkpoint(model=model).read(...)` restores into the person's own model.
    `_trackable_children` is how TensorFlow asks an object for its graph (trackable/base.py); it
    has no public counterpart.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model

    def _trackable_children(self, save_type: str = "checkpoint", **kwargs: Any) -> dict[str, Any]:
        # Always the children of a checkpoint: Keras adds bookkeeping lists for a SavedModel.
        children = self._model._trackable_children("checkpoint", **kwargs)
        return {name: child for name, child in children.items() if name != "optimizer"}
