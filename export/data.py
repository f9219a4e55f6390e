"""The data of the quadratic models: y = x^2 + 2x - 8, seen through noise."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

POINTS = 201
BATCH = 32
STEPS = -(-POINTS // BATCH)  # batches in an epoch

Array = np.ndarray[Any, Any]
Arrays = dict[str, Array]


@dataclass(frozen=True)
class Data:
    """float32 arrays of shape [201]: `x` from -3 to 3, `truth` without noise, `y` with it."""

    x: Array
    y: Array
    truth: Array


def make(seed: int) -> Data:
    """The data of a seed. The noise is standard normal, so an MSE of about 1 is the floor."""
    x = np.linspace(-3.0, 3.0, POINTS, dtype=np.float32)
    truth = x * x + 2 * x - 8
    noise = tf.random.stateless_normal([POINTS], seed=[seed, 1])
    return Data(x, np.asarray(truth + noise), truth)


def batches(data: Data, seed: int, first: int, epochs: int) -> tf.data.Dataset:
    """All batches (x, y) of the epochs from `first` up to `epochs`, `STEPS` of them in each.

    Each epoch has an order of its own that `seed` and its number alone decide, so a resumed
    training goes on as an unbroken one does. One dataset for all epochs: making an iterator costs
    50 ms, which an epoch here does not.
    """

    def epoch(number: Any) -> tf.data.Dataset:
        points = tf.data.Dataset.from_tensor_slices((data.x, data.y))
        order = seed * 1_000_003 + number
        return points.shuffle(POINTS, seed=order, reshuffle_each_iteration=False).batch(BATCH)

    return tf.data.Dataset.range(first, epochs).flat_map(epoch)
