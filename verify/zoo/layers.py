"""Small models that together contain every Keras layer that computes something.

Each function builds one model. A single output is named `y`; several outputs have names of their
own.
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import layers as L  # noqa: N812


def model(shape: Any, *steps: Callable[[Any], Any], dtype: str = "float32") -> keras.Model:
    """A model that applies the layers one after another, from an input `x` to an output `y`."""
    x = y = keras.Input(shape, dtype=dtype, name="x")
    for step in steps:
        y = step(y)
    return keras.Model(x, {"y": y})


def dense() -> keras.Model:
    return model(
        (6,), L.Dense(8, "relu"), L.Identity(), L.Dropout(0.3), L.GaussianNoise(0.1), L.Dense(4)
    )


def einsum_dense() -> keras.Model:
    return model((5, 6), L.EinsumDense("abc,cd->abd", (None, 7), bias_axes="d"), L.Dense(3))


def embedding() -> keras.Model:
    return model((7,), L.Embedding(13, 5), L.GlobalAveragePooling1D(), L.Dense(3), dtype="int32")


def reversible_embedding() -> keras.Model:
    table = L.ReversibleEmbedding(11, 6)
    x = keras.Input((5,), dtype="int32", name="x")
    return keras.Model(x, {"y": table(table(x), reverse=True)})


def wrapped() -> keras.Model:
    """Has SpectralNormalization, a simple wrapper: the base class Wrapper computes nothing."""
    return model((6,), L.SpectralNormalization(L.Dense(5)), L.UnitNormalization(), L.Dense(3))


def conv_1d() -> keras.Model:
    return model(
        (16, 3),
        L.ZeroPadding1D(2),
        L.Conv1D(6, 3, activation="relu"),
        L.SeparableConv1D(5, 3, padding="same", activation="swish"),
        L.DepthwiseConv1D(3, padding="same"),
        L.MaxPooling1D(2),
        L.Cropping1D(1),
        L.GlobalMaxPooling1D(),
    )


def conv_1d_transpose() -> keras.Model:
    return model(
        (6, 3),
        L.Conv1DTranspose(4, 3, strides=2, padding="same"),
        L.UpSampling1D(2),
        L.AveragePooling1D(2),
        L.Conv1D(2, 3, padding="causal", dilation_rate=2),
    )


def conv_2d() -> keras.Model:
    return model(
        (12, 12, 3),
        L.ZeroPadding2D(1),
        L.Conv2D(6, 3, strides=2, padding="same", activation="relu6"),
        L.DepthwiseConv2D(3, padding="same", activation="hard_swish"),
        L.SeparableConv2D(8, 3, padding="same"),
        L.BatchNormalization(),
        L.MaxPooling2D(2),
        L.GlobalAveragePooling2D(),
        L.Dense(5, "softmax"),
    )


def conv_2d_transpose() -> keras.Model:
    return model(
        (5, 5, 3),
        L.Conv2DTranspose(4, 3, strides=2, padding="same", activation="leaky_relu"),
        L.Cropping2D(1),
        L.UpSampling2D(2),
        L.AveragePooling2D(2),
        L.Conv2D(2, 3, dilation_rate=2, padding="same"),
    )


def upsampling_bilinear() -> keras.Model:
    return model((4, 4, 2), L.UpSampling2D(2, interpolation="bilinear"), L.Conv2D(3, 3))


def conv_3d() -> keras.Model:
    return model(
        (6, 6, 6, 2),
        L.ZeroPadding3D(1),
        L.Conv3D(4, 3, activation="relu"),
        L.MaxPooling3D(2),
        L.UpSampling3D(2),
        L.AveragePooling3D(2),
        L.Cropping3D(1),
        L.GlobalAveragePooling3D(),
    )


def conv_3d_transpose() -> keras.Model:
    return model(
        (3, 3, 3, 2), L.Conv3DTranspose(3, 3, strides=2, padding="same"), L.GlobalMaxPooling3D()
    )


def global_pooling() -> keras.Model:
    return model((7, 7, 3), L.Conv2D(4, 3), L.GlobalMaxPooling2D(keepdims=True), L.Flatten())


def adaptive_1d() -> keras.Model:
    x = keras.Input((9, 3), name="x")
    both = [L.AdaptiveAveragePooling1D(3)(x), L.AdaptiveMaxPooling1D(3)(x)]
    return keras.Model(x, {"y": L.Concatenate()(both)})


def adaptive_2d() -> keras.Model:
    x = keras.Input((8, 8, 2), name="x")
    both = [L.AdaptiveAveragePooling2D(4)(x), L.AdaptiveMaxPooling2D(4)(x)]
    return keras.Model(x, {"y": L.Concatenate()(both)})


def adaptive_3d() -> keras.Model:
    x = keras.Input((4, 4, 4, 2), name="x")
    both = [L.AdaptiveAveragePooling3D(2)(x), L.AdaptiveMaxPooling3D(2)(x)]
    return keras.Model(x, {"y": L.Concatenate()(both)})


def simple_rnn() -> keras.Model:
    return model((6, 3), L.SimpleRNN(5), L.Dense(2))


def gru() -> keras.Model:
    return model((6, 3), L.GRU(5, return_sequences=True), L.GRU(4), L.Dense(2))


def lstm() -> keras.Model:
    return model((6, 3), L.LSTM(5, return_sequences=True), L.LSTM(4), L.Dense(2))


def lstm_any_length() -> keras.Model:
    return model((None, 3), L.LSTM(5), L.Dense(2))


def lstm_states() -> keras.Model:
    x = keras.Input((5, 3), name="x")
    sequence, hidden, cell = L.LSTM(4, return_sequences=True, return_state=True)(x)
    return keras.Model(x, {"sequence": sequence, "state": [hidden, cell]})


def gru_states() -> keras.Model:
    x = keras.Input((5, 3), name="x")
    return keras.Model(x, list(L.GRU(4, return_sequences=True, return_state=True, name="gru")(x)))


def bidirectional() -> keras.Model:
    return model((6, 3), L.Bidirectional(L.LSTM(4, return_sequences=True)), L.GlobalMaxPool1D())


def masked_lstm() -> keras.Model:
    return model((6,), L.Embedding(9, 4, mask_zero=True), L.LSTM(4), L.Dense(2), dtype="int32")


def masking() -> keras.Model:
    return model((6, 3), L.Masking(0.0), L.GRU(4), L.Dense(2))


def cells() -> keras.Model:
    stacked = L.StackedRNNCells([L.LSTMCell(4), L.GRUCell(4), L.SimpleRNNCell(3)])
    return model((5, 3), L.RNN(stacked), L.Dense(2))


def time_distributed() -> keras.Model:
    return model((4, 6, 2), L.TimeDistributed(L.Conv1D(3, 3, activation="relu")), L.Flatten())


def conv_lstm_1d() -> keras.Model:
    return model((3, 6, 2), L.ConvLSTM1D(3, 3), L.Flatten())


def conv_lstm_2d() -> keras.Model:
    return model((3, 5, 5, 2), L.ConvLSTM2D(3, 3), L.GlobalAveragePooling2D())


def conv_lstm_3d() -> keras.Model:
    return model((2, 4, 4, 4, 1), L.ConvLSTM3D(2, 3), L.GlobalAveragePooling3D())


def attention() -> keras.Model:
    x = keras.Input((5, 6), name="x")
    query, value = L.Dense(6)(x), L.Dense(6)(x)
    mixed = L.Attention(use_scale=True)([query, value])
    return keras.Model(x, {"y": L.AdditiveAttention()([mixed, value])})


def multi_head_attention() -> keras.Model:
    x = keras.Input((5, 8), name="x")
    mixed = L.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True)
    return keras.Model(x, {"y": L.LayerNormalization()(L.Add()([x, mixed]))})


def grouped_attention() -> keras.Model:
    x = keras.Input((5, 8), name="x")
    return keras.Model(x, {"y": L.RMSNormalization()(L.GroupQueryAttention(4, 4, 2)(x, x))})


def transformer() -> keras.Model:
    """A transformer block with exact gelu, for sequences of any length."""
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    x = L.Embedding(17, 8)(tokens)
    x = L.LayerNormalization()(x + L.MultiHeadAttention(2, 4)(x, x))
    hidden = L.Dense(16, keras.activations.gelu)(x)
    x = L.LayerNormalization()(x + L.Dense(8)(hidden))
    return keras.Model(tokens, {"logits": L.Dense(17)(x)})


def normalizations() -> keras.Model:
    return model(
        (6, 6, 4), L.Conv2D(4, 3), L.GroupNormalization(2), L.LayerNormalization(), L.Flatten()
    )


def preprocessing() -> keras.Model:
    return model(
        (3,), L.Normalization(mean=[5.0, -40.0, 0.1], variance=[4.0, 900.0, 0.01]), L.Dense(4)
    )


def pixels() -> keras.Model:
    return model((8, 8, 3), L.Rescaling(1 / 127.5, -1), L.CenterCrop(6, 6), L.Conv2D(3, 3))


def reshaping() -> keras.Model:
    return model((4, 6), L.Permute((2, 1)), L.Reshape((3, 8)), L.Flatten(), L.RepeatVector(2))


def merging() -> keras.Model:
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    pair = [L.Dense(5)(a), L.Dense(5)(b)]
    kinds = (L.Add, L.Average, L.Maximum, L.Minimum, L.Multiply, L.Subtract)
    merged = [kind()(pair) for kind in kinds]
    return keras.Model(
        [a, b], {"all": L.Concatenate()(merged), "dot": L.Dot(axes=1, normalize=True)(pair)}
    )


def activations() -> keras.Model:
    x = keras.Input((6,), name="x")
    hidden = L.Dense(8)(x)
    kinds = (L.ELU(), L.LeakyReLU(0.2), L.PReLU(), L.ReLU(4.0, 0.1), L.Softmax())
    return keras.Model(x, {"y": L.Concatenate()([kind(hidden) for kind in kinds])})


def _activated(*names: str) -> keras.Model:
    x = keras.Input((6,), name="x")
    hidden = L.Dense(8)(x)
    return keras.Model(x, {name: L.Activation(name)(hidden) for name in names})


# The activation functions are spread over several models, because one function that a runtime lacks
# makes every output of a file fail.
def smooth_functions() -> keras.Model:
    names = ("exponential", "log_sigmoid", "mish", "sigmoid", "silu", "softplus", "softsign")
    return _activated(*names, "squareplus", "tanh", "tanh_shrink")


def gaussian_function() -> keras.Model:
    return _activated("gelu")


def straight_functions() -> keras.Model:
    names = ("hard_shrink", "hard_sigmoid", "hard_tanh", "leaky_relu", "linear", "relu", "relu6")
    return _activated(*names, "soft_shrink", "sparse_plus", "sparse_sigmoid")


def exponential_units() -> keras.Model:
    return _activated("celu", "elu", "selu")


def normalised_functions() -> keras.Model:
    return _activated("glu", "log_softmax", "softmax")


def nested() -> keras.Model:
    """A model inside a model, nested inputs and outputs, one scalar per row, and two dtypes."""
    inner = model((4,), L.Dense(4, "tanh"), L.Dense(3))
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    flag = keras.Input((), dtype="bool", name="flag")
    left, right = inner(a)["y"], inner(b)["y"]
    chosen = keras.ops.where(flag[:, None], left, right)
    best = keras.ops.argmax(chosen * 8, axis=-1)
    return keras.Model(
        {"pair": [a, b], "flag": flag}, {"scores": {"chosen": chosen}, "best": [best]}
    )


def autoencoder() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((12,), name="x"),
            L.Dense(6, "selu"),
            L.ActivityRegularization(1e-3),
            L.AlphaDropout(0.1),
            L.Dense(12, name="y"),
        ],
        name="autoencoder",
    )


def unet() -> keras.Model:
    x = keras.Input((16, 16, 2), name="x")
    down = L.Conv2D(4, 3, padding="same", activation="relu")(x)
    deep = L.Conv2D(8, 3, padding="same", activation="relu")(L.MaxPooling2D(2)(down))
    up = L.Conv2DTranspose(4, 2, strides=2)(deep)
    both = L.Concatenate()([down, L.SpatialDropout2D(0.1)(up)])
    return keras.Model(x, {"mask": L.Conv2D(1, 1, activation="sigmoid")(both)})


def residual() -> keras.Model:
    x = keras.Input((8, 8, 4), name="x")
    hidden = L.BatchNormalization()(L.Conv2D(4, 3, padding="same")(x))
    hidden = L.ReLU()(L.Add()([x, hidden]))
    return keras.Model(x, {"y": L.Dense(3)(L.GlobalAveragePooling2D()(hidden))})


MODELS: dict[str, Callable[[], keras.Model]] = {
    function.__name__: function
    for function in (
        dense,
        einsum_dense,
        embedding,
        reversible_embedding,
        wrapped,
        conv_1d,
        conv_1d_transpose,
        conv_2d,
        conv_2d_transpose,
        upsampling_bilinear,
        conv_3d,
        conv_3d_transpose,
        global_pooling,
        adaptive_1d,
        adaptive_2d,
        adaptive_3d,
        simple_rnn,
        gru,
        lstm,
        lstm_any_length,
        lstm_states,
        gru_states,
        bidirectional,
        masked_lstm,
        masking,
        cells,
        time_distributed,
        conv_lstm_1d,
        conv_lstm_2d,
        conv_lstm_3d,
        attention,
        multi_head_attention,
        grouped_attention,
        transformer,
        normalizations,
        preprocessing,
        pixels,
        reshaping,
        merging,
        activations,
        smooth_functions,
        gaussian_function,
        straight_functions,
        exponential_units,
        normalised_functions,
        nested,
        autoencoder,
        unet,
        residual,
    )
}
