"""Which Keras 3 layers tfjs-layers 4.22 has, and how it wants their configuration.

A row is a layer that loads there and gives Keras's numbers: test_tfjs_layers.py builds each one.
tfjs-layers ignores options that it does not have, so those are refused here by value.
"""

from collections.abc import Callable
from typing import Any

import keras

from portproof.bundle.errors import ExportError

Config = dict[str, Any]

# Keras's names and tfjs-layers'. Its hard_sigmoid is Keras 2's, with another slope.
_SAME_NAME = (
    "elu",
    "gelu",
    "linear",
    "log_softmax",
    "mish",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "softmax",
    "softplus",
    "softsign",
    "tanh",
)
_ACTIVATIONS = {**{name: name for name in _SAME_NAME}, "silu": "swish"}

# (Keras class, Keras weight): the weight's name in tfjs-layers.
RENAMED_WEIGHTS = {("DepthwiseConv2D", "kernel"): "depthwise_kernel"}

_INSTEAD = {
    "Subtract": "Add with a Rescaling(-1) before its second input",
    "Lambda": "stock layers",
    "Normalization": "Rescaling with the same scale and offset",
    "GroupNormalization": "BatchNormalization or LayerNormalization",
    "Conv3D": "Conv2D over slices",
    "MultiHeadAttention": "the graph model (tfjs-graph), which runs it",
}


def layer_config(layer: keras.Layer) -> Config:
    """A layer's configuration for tfjs-layers. Raises ExportError where it cannot be the same."""
    kind = type(layer).__name__
    if kind not in LAYERS or type(layer).__module__.split(".")[0] != "keras":
        raise ExportError(
            f"layer {layer.name} is a {kind}, which tfjs-layers does not have. "
            f"Use {_INSTEAD.get(kind, 'the graph model (tfjs-graph), which runs any layer')}."
        )
    config = {key: _plain(value) for key, value in layer.get_config().items()}
    dtype = config.get("dtype", "float32")
    if dtype != "float32":
        raise ExportError(
            f"layer {layer.name} ({kind}) computes in {dtype}, and tfjs-layers in float32 alone. "
            "Use the graph model (tfjs-graph)."
        )
    for key in [key for key in config if key.endswith("activation")]:
        config[key] = _activation(layer, config[key])
    return LAYERS[kind](layer, config)


def _plain(value: Any) -> Any:
    """Keras 3's serialized objects as {"class_name", "config"}, dtype policies by name."""
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("class_name") == "DTypePolicy":
        return value["config"]["name"]
    if value.get("class_name") in ("L1", "L2"):
        strength = {"l1": 0.0, "l2": 0.0, **value["config"]}
        return {"class_name": "L1L2", "config": strength}
    if "class_name" in value:
        config = {k: _plain(v) for k, v in (value.get("config") or {}).items() if k != "seed"}
        return {"class_name": value["class_name"], "config": config}
    return {key: _plain(item) for key, item in value.items()}


def _activation(layer: keras.Layer, name: Any) -> str:
    if name not in _ACTIVATIONS:
        raise ExportError(
            f"layer {layer.name} ({type(layer).__name__}) has the activation {name!r}, which "
            f"tfjs-layers does not have. It has {', '.join(sorted(_ACTIVATIONS))}."
        )
    return _ACTIVATIONS[name]


def _as_is(_: keras.Layer, config: Config) -> Config:
    return config


def _only(**allowed: Any) -> Callable[[keras.Layer, Config], Config]:
    """The configuration as it is, if these options have the one value that tfjs-layers knows."""

    def check(layer: keras.Layer, config: Config) -> Config:
        for option, value in allowed.items():
            if config.get(option, value) != value:
                raise ExportError(
                    f"layer {layer.name} ({type(layer).__name__}) has {option}={config[option]!r}, "
                    f"and tfjs-layers knows {value!r} alone. Use the graph model (tfjs-graph)."
                )
        return {key: item for key, item in config.items() if key not in allowed or item is not None}

    return check


def _convolution(**allowed: Any) -> Callable[[keras.Layer, Config], Config]:
    check = _only(data_format="channels_last", **allowed)

    def convolution(layer: keras.Layer, config: Config) -> Config:
        if config["padding"] == "causal":
            raise ExportError(
                f"layer {layer.name} has causal padding, which tfjs-layers does not have with a "
                "bias. Use a ZeroPadding1D before it in the graph model (tfjs-graph)."
            )
        return check(layer, config)

    return convolution


def _layer_normalization(layer: keras.Layer, config: Config) -> Config:
    if getattr(layer, "rms_scaling", False):
        raise ExportError(
            f"layer {layer.name} (LayerNormalization) has rms_scaling, which tfjs-layers does not "
            "know. Use the graph model (tfjs-graph)."
        )
    return config


def _leaky_relu(_: keras.Layer, config: Config) -> Config:
    return {**config, "alpha": config["negative_slope"]}


def _without_direction(layer: keras.Layer) -> Config:
    config = layer.get_config()
    return {key: v for key, v in config.items() if key not in ("name", "go_backwards")}


def _wrapper(layer: keras.Layer, config: Config) -> Config:
    """TimeDistributed and Bidirectional: the layer inside, by the same rules."""
    timed = isinstance(layer, keras.layers.TimeDistributed)
    inner = layer.layer if timed else layer.forward_layer
    if not timed and _without_direction(inner) != _without_direction(layer.backward_layer):
        raise ExportError(
            f"layer {layer.name} (Bidirectional) has two different layers, and tfjs-layers makes "
            "the second of the first. Use the graph model (tfjs-graph)."
        )
    # tfjs-layers puts "forward_" and "backward_" before the name, as Keras has done here already.
    name = inner.name if timed else inner.name.removeprefix("forward_")
    wrapped = {"class_name": type(inner).__name__, "config": layer_config(inner) | {"name": name}}
    kept = {k: v for k, v in config.items() if k in ("name", "trainable", "dtype", "merge_mode")}
    return {**kept, "layer": wrapped}


LAYERS: dict[str, Callable[[keras.Layer, Config], Config]] = {
    # core
    "Activation": _as_is,
    "Dense": _only(quantization_config=None),
    "Embedding": _only(quantization_config=None),
    "Flatten": _only(data_format="channels_last"),
    "Permute": _as_is,
    "RepeatVector": _as_is,
    "Reshape": _as_is,
    # convolution and pooling
    # A dilated convolution has no gradient there, and this format is for training.
    "Conv1D": _convolution(groups=1, dilation_rate=[1]),
    "Conv2D": _convolution(groups=1, dilation_rate=[1, 1]),
    "Conv2DTranspose": _only(
        output_padding=None, dilation_rate=[1, 1], data_format="channels_last"
    ),
    "DepthwiseConv2D": _convolution(dilation_rate=[1, 1]),
    "SeparableConv2D": _convolution(dilation_rate=[1, 1]),
    "Cropping2D": _only(data_format="channels_last"),
    # Bilinear, it takes the corners of pixels for their centers.
    "UpSampling2D": _only(interpolation="nearest", data_format="channels_last"),
    "ZeroPadding2D": _only(data_format="channels_last"),
    **{f"MaxPooling{n}D": _only(data_format="channels_last") for n in (1, 2)},
    # With `same` padding its gradient there divides by the whole window, past the edges too.
    **{f"AveragePooling{n}D": _only(padding="valid", data_format="channels_last") for n in (1, 2)},
    **{
        f"Global{kind}Pooling{n}D": _only(keepdims=False, data_format="channels_last")
        for kind in ("Max", "Average")
        for n in (1, 2)
    },
    # normalisation and regularisation
    "BatchNormalization": _only(synchronized=False),
    "LayerNormalization": _layer_normalization,
    "Dropout": _only(noise_shape=None),
    "GaussianNoise": _as_is,
    "GaussianDropout": _as_is,
    # activations
    "ReLU": _only(negative_slope=0.0, threshold=0.0),
    "LeakyReLU": _leaky_relu,
    "ELU": _only(alpha=1.0),
    "PReLU": _as_is,
    "Softmax": _as_is,
    # recurrent
    "SimpleRNN": _only(go_backwards=False, stateful=False),
    "LSTM": _only(go_backwards=False, stateful=False),
    "GRU": _only(reset_after=False, go_backwards=False, stateful=False),
    "Bidirectional": _wrapper,
    "TimeDistributed": _wrapper,
    # merging
    **dict.fromkeys(("Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply"), _as_is),
    # preprocessing
    "Rescaling": _as_is,
}
