"""`my_module`: an int32 weight and a method. Nothing is trained; the method is the signature."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import portproof
from export.training import Log, Training, trained

NAME = "my_module"
WEIGHT = 3


class MyModule(tf.Module):  # type: ignore[misc]
    """One variable, `weight`: an int32 scalar."""

    def __init__(self, weight: int = WEIGHT) -> None:
        super().__init__(name=NAME)
        self.weight = tf.Variable(weight, dtype=tf.int32, name="weight")

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, name="x")])  # type: ignore[untyped-decorator]
    def multiply(self, x: Any) -> Any:
        """int32 [n] -> int32 [n], wrapping around as two's complement does."""
        return x * self.weight


def train(folder: Path, seed: int, epochs: int, resume: bool, log: Log) -> None:
    """Leave the weight in `folder`. There is nothing to learn: it is given."""
    Training(folder, seed, epochs, resume, model=MyModule()).finish({})
    log(f"my_module has nothing to train: its weight is {WEIGHT}.")


def source(folder: Path = Path("training", NAME)) -> portproof.Source:
    """The module with `multiply` as its signature."""
    model = MyModule(0)
    trained(folder, model)
    return portproof.make_source(
        model,
        signatures=["multiply"],
        inputs={"x": np.array([5, 6, 3, *range(-100, 101)], np.int32)},
        keras_forms={"multiply": keras_form(model)},
    )


def keras_form(model: MyModule) -> keras.Model:
    """The same weight in stock layers: an Embedding with one row, looked up for every element.

    A Dense layer has such a weight too, but Keras computes an int32 matmul through floats: it
    does not wrap around.
    """
    x = keras.Input((), dtype="int32", name="x")
    row = keras.layers.Rescaling(0, dtype="int32", name="row")(x)
    weight = keras.layers.Embedding(1, 1, "zeros", dtype="int32", name="weight")
    scalar = keras.layers.Reshape((), dtype="int32", name="scalar")(weight(row))
    product = keras.layers.Multiply(dtype="int32", name="product")([x, scalar])
    form = keras.Model(x, {"output_0": product}, name=NAME)
    weight.set_weights([np.array([[model.weight.numpy()]])])
    return form
