"""Wrong versions of a model: what a broken exporter or a damaged file would compute.

A mutation takes a Keras model and gives its wrong version, or None where it does not apply.
"""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

Weights = list[np.ndarray]
Config = dict[str, Any]
Mutation = Callable[[keras.Model], keras.Model | None]


def rebuilt(model: keras.Model, config: Config | None = None, weights: Any = None) -> keras.Model:
    """The model again, from another config or with other weights."""
    again = keras.Model.from_config(config or model.get_config())
    again.set_weights(model.get_weights() if weights is None else weights)
    return again


# Weights


def _kernels(model: keras.Model) -> list[int]:
    """Positions of the weights of more than one dimension."""
    return [n for n, w in enumerate(model.get_weights()) if w.ndim > 1]


def flipped(bit: int, place: int = 0) -> Mutation:
    """One bit of one weight: that of the largest magnitude in the first kernel, or the last."""

    def mutate(model: keras.Model) -> keras.Model | None:
        weights, kernels = model.get_weights(), _kernels(model)
        if not kernels:
            return None
        bits = weights[kernels[place]].view(np.uint32).reshape(-1)
        bits[np.abs(weights[kernels[place]]).argmax()] ^= np.uint32(1 << bit)
        return rebuilt(model, weights=weights)

    return mutate


def _bias_dropped(model: keras.Model) -> keras.Model | None:
    weights = model.get_weights()
    biases = [n for n, v in enumerate(model.weights) if v.name in ("bias", "beta")]
    if not biases:
        return None
    weights[biases[0]][...] = 0
    return rebuilt(model, weights=weights)


def _kernel_transposed(model: keras.Model) -> keras.Model | None:
    """Its last two dimensions swapped in memory, in the same shape."""
    weights, kernels = model.get_weights(), _kernels(model)
    if not kernels:
        return None
    kernel = weights[kernels[-1]]
    weights[kernels[-1]] = np.swapaxes(kernel, -1, -2).reshape(kernel.shape)
    return rebuilt(model, weights=weights)


def _kernel_mirrored(model: keras.Model) -> keras.Model | None:
    """Correlation for convolution: the window turned around."""
    weights = model.get_weights()
    kernels = [n for n, w in enumerate(weights) if w.ndim > 2 and w.shape[0] > 1]
    if not kernels:
        return None
    weights[kernels[0]] = weights[kernels[0]][::-1]
    return rebuilt(model, weights=weights)


def _weights_swapped(model: keras.Model) -> keras.Model | None:
    """Two of one shape, of a name order that a loader might mistake."""
    weights = model.get_weights()
    for n, first in enumerate(weights):
        for m in range(n + 1, len(weights)):
            if first.shape == weights[m].shape and first.size > 1:
                weights[n], weights[m] = weights[m], first
                return rebuilt(model, weights=weights)
    return None


def _rows_rolled(model: keras.Model) -> keras.Model | None:
    """A table or kernel read from one row too far."""
    weights, kernels = model.get_weights(), _kernels(model)
    if not kernels:
        return None
    weights[kernels[0]] = np.roll(weights[kernels[0]], 1, axis=0)
    return rebuilt(model, weights=weights)


def _float16_weights(model: keras.Model) -> keras.Model | None:
    narrow = [w.astype(np.float16).astype(np.float32) for w in model.get_weights()]
    return rebuilt(model, weights=narrow)


# Options of layers


def option(key: str, old: Any, new: Any, layer: str = "") -> Mutation:
    """The first layer that has this option as `old` (any, for None) gets `new`."""

    def mutate(model: keras.Model) -> keras.Model | None:
        config = model.get_config()
        for entry in config["layers"]:
            own = entry["config"]
            if key in own and (old is None or own[key] == old) and layer in entry["class_name"]:
                own[key] = new
                return rebuilt(model, config)
        return None

    return mutate


def layer_class(old: str, new: str) -> Mutation:
    """The first layer of one class becomes one of another, with the same options."""

    def mutate(model: keras.Model) -> keras.Model | None:
        config = model.get_config()
        for entry in config["layers"]:
            if entry["class_name"] == old:
                entry["class_name"], entry["registered_name"] = new, None
                entry["inbound_nodes"][0]["kwargs"] = {}  # a mask, which not both take
                return rebuilt(model, config)
        return None

    return mutate


def _padding_moved(model: keras.Model) -> keras.Model | None:
    """`same` padding that leaves out one edge: the window reaches past the other instead."""
    chosen = [
        layer
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D) and layer.padding == "same"
    ]
    if not chosen:
        return None
    high = chosen[0].kernel_size[0] - 1

    def replaced(layer: keras.layers.Layer) -> keras.layers.Layer:
        again = layer.__class__.from_config(layer.get_config())
        if layer is not chosen[0]:
            return again
        valid = layer.__class__.from_config({**layer.get_config(), "padding": "valid"})
        pad = keras.layers.ZeroPadding2D(((high, 0), (high // 2, high - high // 2)))
        return keras.Sequential([pad, valid], name=layer.name)

    again = keras.models.clone_model(model, clone_function=replaced)
    again.set_weights(model.get_weights())
    return again


def _batch_axis_normalised(model: keras.Model) -> keras.Model | None:
    """Statistics swapped: the mean for the variance's neighbour in the file."""
    weights = model.get_weights()
    names = [v.name for v in model.weights]
    if "moving_mean" not in names:
        return None
    mean, beta = names.index("moving_mean"), names.index("beta")
    weights[mean], weights[beta] = weights[beta], weights[mean]
    return rebuilt(model, weights=weights)


# Outputs


def _outputs(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Mutation:
    def mutate(model: keras.Model) -> keras.Model | None:
        # Anew, so that the right model's layers get no second call.
        again = rebuilt(model)
        outputs = change(dict(again.output))
        return keras.Model(again.input, outputs) if outputs else None

    return mutate


def _swap(outputs: dict[str, Any]) -> dict[str, Any]:
    if len(outputs) < 2:
        return {}
    p, q = outputs
    return {p: outputs[q], q: outputs[p]}


def _rename(outputs: dict[str, Any]) -> dict[str, Any]:
    return {f"{name}_1": tensor for name, tensor in outputs.items()}


def _retype(outputs: dict[str, Any]) -> dict[str, Any]:
    return {name: keras.ops.cast(tensor, "int32") for name, tensor in outputs.items()}


# By title. Those of weights alone change no graph, and fit a checkpoint too.
OF_WEIGHTS: dict[str, Mutation] = {
    "sign bit of a weight": flipped(31),
    "highest exponent bit of a weight": flipped(30),
    "lowest exponent bit of a weight": flipped(23),
    "exponent bit of a late weight": flipped(24, -1),
    "highest mantissa bit of a weight": flipped(22),
    "middle mantissa bit of a weight": flipped(13),
    "middle mantissa bit of a late weight": flipped(13, -1),
    "low mantissa bit of a weight": flipped(6),
    "low mantissa bit of a late weight": flipped(6, -1),
    "lowest mantissa bit of a weight": flipped(0),
    "bias dropped": _bias_dropped,
    "kernel transposed": _kernel_transposed,
    "kernel mirrored": _kernel_mirrored,
    "two weights of one shape swapped": _weights_swapped,
    "weights one row too far": _rows_rolled,
    "weights rounded to float16": _float16_weights,
    "moving mean and beta swapped": _batch_axis_normalised,
}
OF_GRAPH: dict[str, Mutation] = {
    "batch norm with another epsilon": option("epsilon", 1e-2, 1e-3, "BatchNormalization"),
    "layer norm with another epsilon": option("epsilon", None, 1e-5, "LayerNormalization"),
    "same padding without one edge": _padding_moved,
    "stride changed": option("strides", (2, 2), (3, 3)),
    "stride of a convolution changed": option("strides", (1, 1), (2, 2), "Conv2D"),
    "dilation changed": option("dilation_rate", (1, 1), (2, 2), "Conv2D"),
    "dilation left out": option("dilation_rate", (2,), (1,)),
    "gelu by tanh": option("approximate", False, True),
    "relu6 for relu": option("activation", "relu", "relu6"),
    "relu for relu6": option("activation", "relu6", "relu"),
    "leaky relu for relu": option("activation", "relu", "leaky_relu"),
    "elu for selu": option("activation", "elu", "selu"),
    "hard sigmoid for sigmoid": option("activation", "sigmoid", "hard_sigmoid"),
    "hard sigmoid in the gates": option("recurrent_activation", "sigmoid", "hard_sigmoid"),
    "softmax left out": option("activation", "softmax", "linear"),
    "tanh left out": option("activation", "tanh", "linear"),
    "softplus by relu": option("activation", "softplus", "relu"),
    "GRU without its reset after": option("reset_after", True, False),
    "recurrent layer backwards": option("go_backwards", False, True),
    "maximum for mean": layer_class("GlobalAveragePooling2D", "GlobalMaxPooling2D"),
    "maximum for mean over time": layer_class("GlobalAveragePooling1D", "GlobalMaxPooling1D"),
    "mean for maximum": layer_class("MaxPooling2D", "AveragePooling2D"),
    "two outputs swapped": _outputs(_swap),
    "output renamed": _outputs(_rename),
    "output of another dtype": _outputs(_retype),
}


OF_NAMES = ("two outputs swapped", "output renamed")


def faulty(model: keras.Model) -> Iterator[tuple[str, bool, keras.Model]]:
    """Every mutation that applies: its title, whether weights alone differ, the wrong model."""
    for table in (OF_WEIGHTS, OF_GRAPH):
        for title, mutate in table.items():
            try:
                wrong = mutate(model)
            except ValueError:  # other shapes of weights than the right one's: no such model
                continue
            if wrong is not None:
                yield title, table is OF_WEIGHTS, wrong


# Variables of a tf.Module: array -> array, or None for a swap of the first two.
Change = Callable[[np.ndarray], np.ndarray] | None


def _with_bit(bit: int) -> Callable[[np.ndarray], np.ndarray]:
    def change(array: np.ndarray) -> np.ndarray:
        bits = np.atleast_1d(array).copy().view(np.uint32)
        bits[..., 0] ^= np.uint32(1 << bit)
        return bits.view(array.dtype).reshape(array.shape)

    return change


def _narrowed(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float16).astype(array.dtype) if array.dtype.kind == "f" else array


OF_VARIABLES: dict[str, Change] = {
    "sign bit of a variable": _with_bit(31),
    "exponent bit of a variable": _with_bit(23),
    "high mantissa bit of a variable": _with_bit(22),
    "middle mantissa bit of a variable": _with_bit(13),
    "low mantissa bit of a variable": _with_bit(6),
    "lowest bit of a variable": _with_bit(0),
    "variable dropped": np.zeros_like,
    "variable rounded to float16": _narrowed,
    "variable one place too far": lambda a: np.roll(a, 1),
    "two variables swapped": None,
}


def places(change: Change, variables: Any) -> list[int]:
    """The variables that a change makes others; of a swap, the first."""
    arrays = [np.asarray(variable) for variable in variables]
    if change is None:
        return [0] if len(arrays) > 1 and arrays[0].shape == arrays[1].shape else []
    return [n for n, a in enumerate(arrays) if (change(a).tobytes() != a.tobytes())]


def spoil(variables: Any, change: Change, n: int) -> None:
    """Change one variable, or swap the first two."""
    arrays = [np.asarray(variable) for variable in variables]
    if change is None:
        variables[0].assign(arrays[1])
        variables[1].assign(arrays[0])
    else:
        variables[n].assign(change(arrays[n]))
