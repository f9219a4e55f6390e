"""The models that are timed: python -m benchmarks.models NAME FOLDER writes NAME.keras, NAME.npz.

Weights are as Keras initialises them; batch statistics are of the inputs, so that outputs differ.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import portproof

portproof.start_tensorflow()

import keras  # noqa: E402
import numpy as np  # noqa: E402

layers = keras.layers
_ROWS = 16


def _application(name: str) -> Any:
    return getattr(keras.applications, name)(weights=None)


def vision_transformer() -> Any:
    """Patches of 8 of 64 pixels, four blocks of width 64."""
    image = keras.Input((64, 64, 3), name="image")
    x = layers.Reshape((64, 64))(layers.Conv2D(64, 8, 8)(image))
    x = x + layers.Embedding(64, 64)(keras.ops.arange(64))
    for _ in range(4):
        y = layers.LayerNormalization()(x)
        x = x + layers.MultiHeadAttention(4, 16)(y, y)
        y = layers.Dense(128, activation="gelu")(layers.LayerNormalization()(x))
        x = x + layers.Dense(64)(y)
    return keras.Model(image, layers.Dense(10)(layers.GlobalAveragePooling1D()(x)))


def lstm() -> Any:
    """Two layers of 32 over 30 steps of 8 numbers."""
    series = keras.Input((30, 8), name="series")
    x = layers.LSTM(32)(layers.LSTM(32, return_sequences=True)(series))
    return keras.Model(series, layers.Dense(1)(x))


def audio(samples: int = 16_000) -> Any:
    """A spectrogram of a second, and convolutions over it."""
    wave = keras.Input((samples, 1), name="wave")
    x = layers.STFTSpectrogram(mode="log", frame_length=400, frame_step=160, fft_length=512)(wave)
    x = layers.Conv1D(32, 5, activation="relu")(x)
    return keras.Model(wave, layers.Dense(10)(layers.GlobalMaxPooling1D()(x)))


def dense(gigabytes: float = 0.5, width: int = 4096) -> Any:
    """Layers of `width` x `width` weights, as many as make that size."""
    x = first = keras.Input((width,), name="x")
    for _ in range(round(gigabytes * 1e9 / (4 * width * width))):
        x = layers.Dense(width)(x)
    return keras.Model(first, layers.Dense(4)(x))


MODELS: dict[str, Callable[[], Any]] = {
    "mobilenet_v2": lambda: _application("MobileNetV2"),
    "resnet50_v2": lambda: _application("ResNet50V2"),
    "efficientnet_v2_b0": lambda: _application("EfficientNetV2B0"),
    "vision_transformer": vision_transformer,
    "lstm": lstm,
    "audio": audio,
    "audio_10_s": lambda: audio(160_000),
    "dense_500_mb": dense,
    "dense_2_4_gb": lambda: dense(2.4, 8192),
}


def main(name: str, folder: Path) -> None:
    """Write a model and its inputs."""
    keras.utils.set_random_seed(0)
    model = MODELS[name]()
    [tensor] = model.inputs
    rng = np.random.default_rng(0)
    inputs = rng.uniform(-1, 1, (_ROWS, *tensor.shape[1:])).astype("float32")
    normalizations = [
        layer for layer in model.layers if isinstance(layer, layers.BatchNormalization)
    ]
    for layer in normalizations:
        layer.momentum = 0.5
    for _ in range(4 if normalizations else 0):
        model(inputs, training=True)
    model.save(folder / f"{name}.keras")
    np.savez(folder / f"{name}.npz", inputs)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
