"""Faulty versions of a model, such as a broken exporter or a damaged file would produce.

A mutation takes a Keras model and returns a faulty version of it, or None if it does not apply.
"""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

Config = dict[str, Any]
Mutation = Callable[[keras.Model], keras.Model | None]


def rebuilt(model: keras.Model, config: Config | None = None, weights: Any = None) -> keras.Model:
    """A new model like this one, but with another config or other weights."""
    new_model = keras.Model.from_config(config or model.get_config())
    new_model.set_weights(model.get_weights() if weights is None else weights)
    return new_model


# Mutations of weights


def _kernels(model: keras.Model) -> list[int]:
    """The indices of the weights that have more than one dimension."""
    return [n for n, w in enumerate(model.get_weights()) if w.ndim > 1]


def flipped(bit: int, kernel: int = 0) -> Mutation:
    """Flips one bit of the largest weight (by magnitude) in the kernel at this index."""

    def mutate(model: keras.Model) -> keras.Model | None:
        weights, kernels = model.get_weights(), _kernels(model)
        if not kernels:
            return None
        bits = weights[kernels[kernel]].view(np.uint32).reshape(-1)
        bits[np.abs(weights[kernels[kernel]]).argmax()] ^= np.uint32(1 << bit)
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
    """Swaps the last two dimensions of a kernel in memory, and keeps its shape."""
    weights, kernels = model.get_weights(), _kernels(model)
    if not kernels:
        return None
    kernel = weights[kernels[-1]]
    weights[kernels[-1]] = np.swapaxes(kernel, -1, -2).reshape(kernel.shape)
    return rebuilt(model, weights=weights)


def _kernel_mirrored(model: keras.Model) -> keras.Model | None:
    """Reverses the window of a kernel, as if correlation were confused with convolution."""
    weights = model.get_weights()
    kernels = [n for n, w in enumerate(weights) if w.ndim > 2 and w.shape[0] > 1]
    if not kernels:
        return None
    weights[kernels[0]] = weights[kernels[0]][::-1]
    return rebuilt(model, weights=weights)


def _weights_swapped(model: keras.Model) -> keras.Model | None:
    """Swaps two weights of the same shape, as if a loader confused their names."""
    weights = model.get_weights()
    for n, first in enumerate(weights):
        for m in range(n + 1, len(weights)):
            if first.shape == weights[m].shape and first.size > 1:
                weights[n], weights[m] = weights[m], first
                return rebuilt(model, weights=weights)
    return None


def _rows_rolled(model: keras.Model) -> keras.Model | None:
    """Shifts a table or kernel by one row, as if it were read from the wrong offset."""
    weights, kernels = model.get_weights(), _kernels(model)
    if not kernels:
        return None
    weights[kernels[0]] = np.roll(weights[kernels[0]], 1, axis=0)
    return rebuilt(model, weights=weights)


def _float16_weights(model: keras.Model) -> keras.Model | None:
    rounded = [w.astype(np.float16).astype(np.float32) for w in model.get_weights()]
    return rebuilt(model, weights=rounded)


# Mutations of layer options


def option(key: str, old: Any, new: Any, layer: str = "") -> Mutation:
    """Sets an option of the first layer whose value of it is `old`; None stands for any value.

    With `layer`, only layers whose class name contains it count.
    """

    def mutate(model: keras.Model) -> keras.Model | None:
        config = model.get_config()
        for entry in config["layers"]:
            options = entry["config"]
            matches = key in options and (old is None or options[key] == old)
            if matches and layer in entry["class_name"]:
                options[key] = new
                return rebuilt(model, config)
        return None

    return mutate


def layer_class(old: str, new: str) -> Mutation:
    """Replaces the first layer of class `old` by one of class `new` with the same options."""

    def mutate(model: keras.Model) -> keras.Model | None:
        config = model.get_config()
        for entry in config["layers"]:
            if entry["class_name"] == old:
                entry["class_name"], entry["registered_name"] = new, None
                entry["inbound_nodes"][0]["kwargs"] = {}  # a mask, which one class may not accept
                return rebuilt(model, config)
        return None

    return mutate


def _padding_moved(model: keras.Model) -> keras.Model | None:
    """Moves the rows of `same` padding to the top edge, so that the bottom edge has none."""
    convolutions = [
        layer
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D) and layer.padding == "same"
    ]
    if not convolutions:
        return None
    padding = convolutions[0].kernel_size[0] - 1

    def copied(layer: keras.layers.Layer) -> keras.layers.Layer:
        copy = layer.__class__.from_config(layer.get_config())
        if layer is not convolutions[0]:
            return copy
        valid = layer.__class__.from_config({**layer.get_config(), "padding": "valid"})
        columns = (padding // 2, padding - padding // 2)
        pad = keras.layers.ZeroPadding2D(((padding, 0), columns))
        return keras.Sequential([pad, valid], name=layer.name)

    new_model = keras.models.clone_model(model, clone_function=copied)
    new_model.set_weights(model.get_weights())
    return new_model


def _mean_and_beta_swapped(model: keras.Model) -> keras.Model | None:
    """Swaps the moving mean and the beta of a batch normalisation, as if read in another order."""
    weights = model.get_weights()
    names = [v.name for v in model.weights]
    if "moving_mean" not in names:
        return None
    mean, beta = names.index("moving_mean"), names.index("beta")
    weights[mean], weights[beta] = weights[beta], weights[mean]
    return rebuilt(model, weights=weights)


# Mutations of outputs


def _outputs(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Mutation:
    def mutate(model: keras.Model) -> keras.Model | None:
        # On a copy, so that the layers of the undamaged model are not called a second time.
        copy = rebuilt(model)
        outputs = change(dict(copy.output))
        return keras.Model(copy.input, outputs) if outputs else None

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


# Mutations by title. Those of weights do not change the graph, so they apply to checkpoints too.
WEIGHT_MUTATIONS: dict[str, Mutation] = {
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
    "moving mean and beta swapped": _mean_and_beta_swapped,
}
GRAPH_MUTATIONS: dict[str, Mutation] = {
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
OUTPUT_NAME_MUTATIONS = ("two outputs swapped", "output renamed")


def faulty_models(model: keras.Model) -> Iterator[tuple[str, bool, keras.Model]]:
    """Every mutation that applies: its title, whether only weights differ, and the faulty model."""
    for mutations in (WEIGHT_MUTATIONS, GRAPH_MUTATIONS):
        for title, mutate in mutations.items():
            try:
                faulty_model = mutate(model)
            except ValueError:  # the changed options need weights of other shapes
                continue
            if faulty_model is not None:
                yield title, mutations is WEIGHT_MUTATIONS, faulty_model


# A change of a tf.Module's variables: array -> array, or None to swap the first two variables.
Change = Callable[[np.ndarray], np.ndarray] | None


def _bit_flipped(bit: int) -> Callable[[np.ndarray], np.ndarray]:
    """Flips one bit of every element at index 0 of the last axis."""

    def change(array: np.ndarray) -> np.ndarray:
        bits = np.atleast_1d(array).copy().view(np.uint32)
        bits[..., 0] ^= np.uint32(1 << bit)
        return bits.view(array.dtype).reshape(array.shape)

    return change


def _float16_rounded(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float16).astype(array.dtype) if array.dtype.kind == "f" else array


VARIABLE_CHANGES: dict[str, Change] = {
    "sign bit of a variable": _bit_flipped(31),
    "exponent bit of a variable": _bit_flipped(23),
    "high mantissa bit of a variable": _bit_flipped(22),
    "middle mantissa bit of a variable": _bit_flipped(13),
    "low mantissa bit of a variable": _bit_flipped(6),
    "lowest bit of a variable": _bit_flipped(0),
    "variable dropped": np.zeros_like,
    "variable rounded to float16": _float16_rounded,
    "variable one place too far": lambda a: np.roll(a, 1),
    "two variables swapped": None,
}


def changeable(change: Change, variables: Any) -> list[int]:
    """The indices of the variables that a change affects; for a swap, only the first."""
    arrays = [np.asarray(variable) for variable in variables]
    if change is None:
        return [0] if len(arrays) > 1 and arrays[0].shape == arrays[1].shape else []
    return [n for n, a in enumerate(arrays) if change(a).tobytes() != a.tobytes()]


def apply_change(variables: Any, change: Change, index: int) -> None:
    """Change the variable at `index`, or swap the first two."""
    arrays = [np.asarray(variable) for variable in variables]
    if change is None:
        variables[0].assign(arrays[1])
        variables[1].assign(arrays[0])
    else:
        variables[index].assign(change(arrays[index]))
