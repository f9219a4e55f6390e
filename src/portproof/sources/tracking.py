"""A model's objects and variables as TensorFlow saves them."""

from typing import Any

import keras
import tensorflow as tf

from portproof.sources.keras2_models import is_keras2

# What a model of Keras 3, or of Keras 2, tracks besides its layers once it was compiled or called.
_OF_TRAINING = (
    "optimizer",
    "train_function",
    "train_tf_function",
    "test_function",
    "predict_function",
)


def trackable(model: Any) -> Any:
    """The part of a model that is saved: all of it, or the weights of one of Keras."""
    if not isinstance(model, keras.Model) and not is_keras2(model):
        return model
    mirror = _Mirror(model, {}, leave_out=_OF_TRAINING)
    reached = {id(child) for child in tf.train.TrackableView(mirror).descendants()}
    # Keras tracks the cells of StackedRNNCells only for itself, not for TensorFlow.
    variables = map(_tensorflow_variable, model.variables)
    mirror.others = [variable for variable in variables if id(variable) not in reached]
    return mirror


def _tensorflow_variable(child: Any) -> Any:
    """The `tf.Variable` of a variable of Keras 3, and any other object as it is.

    It is known by what it holds: `keras.Variable` is not the class of a model's variables in the
    oldest Keras 3 that is supported.
    """
    value = getattr(child, "value", None)
    return value if isinstance(value, tf.Variable) else child


class _Mirror(tf.Module):  # type: ignore[misc]
    """A Keras object as TensorFlow tracks it, with each Keras variable's own `tf.Variable`.

    Saved without it, a Keras 3 model writes every variable twice, and TFLite's converter takes the
    copy, which nothing initialises, for the weight: the file converts, and computes garbage. The
    optimizer would be saved too, which can triple the size. Names do not change, so that
    `tf.train.Checkpoint(model=model).read(...)` restores into the person's own model.
    `_trackable_children` is how TensorFlow asks an object for its graph (trackable/base.py); it
    has no public counterpart.
    """

    def __init__(
        self, original: Any, known: dict[int, Any], leave_out: tuple[str, ...] = ()
    ) -> None:
        self._original, self._known, self._leave_out = original, known, leave_out
        self.others: list[Any] = []
        known[id(original)] = self

    def _trackable_children(self, _: str = "checkpoint", **kwargs: Any) -> dict[str, Any]:
        # Always the children of a checkpoint: for a SavedModel, Keras adds its bookkeeping lists.
        children = self._original._trackable_children("checkpoint", **kwargs)
        others = {f"other_{n}": variable for n, variable in enumerate(self.others)}
        mirrored = {n: self._mirrored(c) for n, c in children.items() if n not in self._leave_out}
        return {**mirrored, **others}

    def _mirrored(self, child: Any) -> Any:
        if id(child) in self._known:
            return self._known[id(child)]
        if isinstance(child, keras.Operation | tf.Module | list | tuple | dict):
            return _Mirror(child, self._known)
        return _tensorflow_variable(child)  # or a resource, such as a lookup table
