"""Models that somebody trained, as packages of PyPI ship them: the weights are theirs.

What random weights hide, these show: biases and tables that are not zero, outputs that decide
something. Each is opened from the package's own file; where Keras 3 does not read that any more,
the layers are made again and the file's weights are put into them. Only run, never passed on:
beside each model its licence is noted, as the package's metadata have it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import tensorflow as tf

import portproof
from portproof.sources.source import Source
from verify.zoo.packages import fetch

L = keras.layers
Arrays = dict[str, np.ndarray]
_ROWS = 8


@dataclass(frozen=True)
class Trained:
    """A trained model.

    Attributes:
        package: The package that ships it, at a version.
        sha256: Of the package's wheel.
        licence: The package's.
        open: The package's folder -> the model.
        inputs: A random generator -> inputs as it was trained on, roughly, by name; a single one
            under no name.
    """

    package: str
    sha256: str
    licence: str
    open: Callable[[Path], Any]
    inputs: Callable[[np.random.Generator], Arrays]

    def source(self, name: str, folder: Path) -> Source:
        """The model, ready to export; its package is fetched below `folder`."""
        model = self.open(fetch(self.package, self.sha256, folder))
        inputs: Any = self.inputs(np.random.default_rng(0))
        return portproof.make_source(model, name=name, inputs=inputs.get("", inputs))


def _filled(model: keras.Model, file: Path) -> keras.Model:
    """The model with the weights that a file of an old Keras has for its layers, by their names."""
    with h5py.File(file) as content:
        groups = content.get("model_weights", content)
        for layer in model.layers:
            if layer.weights:
                group = groups[layer.name]
                layer.set_weights([group[name][()] for name in group.attrs["weight_names"]])
    return model


@keras.saving.register_keras_serializable("zoo")
def hard_sigmoid(x: Any) -> Any:
    """That of Keras before version 3, in which the function of this name has another slope."""
    return keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)


def _chords(package: Path) -> keras.Model:
    """Convolutions and two bidirectional GRUs over the frames of a spectrum, with four outputs."""

    def both_ways(name: str) -> Any:
        options = {"reset_after": False, "recurrent_activation": hard_sigmoid}
        return L.Bidirectional(L.GRU(128, return_sequences=True, **options), name=name)

    def head(name: str, units: int, activation: str, x: Any) -> Any:
        return L.TimeDistributed(L.Dense(units, activation=activation), name=name)(x)

    x = spectrum = L.Input((20, 216, 2), name="cqt_mag")
    x = L.BatchNormalization(name="batch_normalization_1")(x)
    x = L.Conv2D(1, 5, padding="same", activation="relu", name="conv2d_1")(x)
    x = L.BatchNormalization(name="batch_normalization_2")(x)
    x = L.Conv2D(72, (1, 216), activation="relu", name="conv2d_2")(x)
    x = L.Reshape((-1, 72))(L.BatchNormalization(name="batch_normalization_3")(x))
    x = L.BatchNormalization(name="batch_normalization_4")(both_ways("bidirectional_1")(x))
    x = both_ways("bidirectional_2")(x)
    parts = [
        head("chord_pitch", 12, "sigmoid", x),
        head("chord_root", 13, "softmax", x),
        head("chord_bass", 13, "softmax", x),
    ]
    joined = L.BatchNormalization(name="batch_normalization_5")(L.Concatenate()([x, *parts]))
    model = keras.Model(spectrum, [head("chord_tag", 170, "softmax", joined), *parts])
    return _filled(model, package / "crema/models/chord/model.h5")


def _faces(network: str) -> Callable[[Path], keras.Model]:
    """One of MTCNN's three networks: they find faces, refine them, and mark eyes and mouth."""
    size, convolutions, dense, heads = {
        "pnet": (24, [(10, 3, 2, "same"), (16, 3, 0, ""), (32, 3, 0, "")], 0, {"box": 4}),
        "rnet": (24, [(28, 3, 3, "same"), (48, 3, 3, "valid"), (64, 2, 0, "")], 128, {"box": 4}),
        "onet": (
            48,
            [(32, 3, 3, "same"), (64, 3, 3, "valid"), (64, 3, 2, "same"), (128, 2, 0, "")],
            256,
            {"box": 4, "landmarks": 10},
        ),
    }[network]

    def opened(package: Path) -> keras.Model:
        x = image = L.Input((size, size, 3), name="image")
        for filters, kernel, pool, padding in convolutions:
            x = L.PReLU(shared_axes=[1, 2])(L.Conv2D(filters, kernel)(x))
            x = L.MaxPooling2D(pool, 2, padding=padding)(x) if pool else x
        if dense:
            x = L.PReLU()(L.Dense(dense)(L.Flatten()(x)))

        def head(name: str, units: int) -> Any:
            return (L.Dense(units, name=name) if dense else L.Conv2D(units, 1, name=name))(x)

        scores = head("logits", 2)  # the file has this one first
        others = [head(name, units) for name, units in heads.items()]
        # A pickle; NumPy's arrays are all that is in it.
        weights = np.load(package / "mtcnn/data/mtcnn_weights.npy", allow_pickle=True).tolist()
        keras.Model(image, [scores, *others]).set_weights(weights[network])
        return keras.Model(image, [*others, L.Softmax(name="score")(scores)])

    return opened


def _splice_acceptor(package: Path) -> keras.Model:
    model = keras.Sequential(
        [
            L.Input((53, 4), name="bases"),
            L.Conv1D(32, 15, padding="same", activation="relu", name="convSpliceSite"),
            L.BatchNormalization(name="batch_normalization_1"),
            L.Conv1D(32, 1, activation="relu", name="conv1by1"),
            L.BatchNormalization(name="batch_normalization_2"),
            L.Flatten(),
            L.Dense(1, activation="sigmoid", name="denseSS"),
        ]
    )
    return _filled(model, package / "mmsplice/models/Acceptor.h5")


def _stability(package: Path) -> keras.Model:
    """The same layers for a protein's mutation and its inverse: four inputs, two outputs."""

    def pair(suffix: str) -> tuple[Any, Any]:
        return L.Input((7, 20), name=f"env{suffix}"), L.Input((20,), name=f"mut{suffix}")

    pairs = pair(""), pair("_inverse")
    near = L.Conv1D(20, 1, use_bias=False, name="net_envConv1D")
    top = keras.Sequential(
        [L.Input((27,)), L.Dense(128, "relu"), L.Dense(64, "relu"), L.Dense(1)], name="TopLayer"
    )
    a, b = (top(L.Concatenate()([L.Dot((2, 1))([near(e), m]), m])) for e, m in pairs)
    change = L.Rescaling(0.5, name="change")(L.Subtract()([a, b]))
    inputs = [tensor for two in pairs for tensor in two]
    model = keras.Model(inputs, [change, L.Average(name="mean")([a, b])])
    return _filled(model, package / "acdc_nn/weights/acdc_nn_seq.h5")


def _words(package: Path) -> keras.Model:
    """Twelve convolutions of other widths over characters and their kinds: two integer inputs."""
    characters = L.Input((21,), name="chars", dtype="int32")
    kinds = L.Input((21,), name="types", dtype="int32")
    embedded = L.Embedding(178, 32, name="embedding_1")(characters)
    embedded = L.BatchNormalization(name="batch_normalization_1")(embedded)
    branches = []
    for width in range(1, 13):
        filters = 200 if width < 9 else 150 if width < 12 else 100
        x = L.Conv1D(filters, width, activation="relu", name=f"conv1d_{width}")(embedded)
        x = L.TimeDistributed(L.Dense(5), name=f"time_distributed_{width}")(x)
        branches.append(L.ZeroPadding1D((0, width - 1))(x))
    embedded_kinds = L.Embedding(12, 12, name="embedding_2")(kinds)
    x = L.Concatenate()([embedded, L.Maximum()(branches), embedded_kinds])
    x = L.Flatten()(L.BatchNormalization(name="batch_normalization_2")(x))
    x = L.Dense(100, activation="relu", name="dense_13")(x)
    model = keras.Model([characters, kinds], L.Dense(1, activation="sigmoid", name="dense_14")(x))
    return _filled(model, package / "deepcut/weight/cnn_without_ne_ab.h5")


def _whole(path: str) -> Callable[[Path], Any]:
    """A file that Keras 3 still reads whole, or a SavedModel's folder."""

    def opened(package: Path) -> Any:
        if (package / path).is_dir():
            return tf.saved_model.load(str(package / path))
        return keras.models.load_model(package / path, compile=False)

    return opened


def _images(size: int) -> Callable[[np.random.Generator], Arrays]:
    def inputs(rng: np.random.Generator) -> Arrays:
        coarse = rng.uniform(-1, 1, (_ROWS, 6, 6, 3))
        images = np.kron(coarse, np.ones((1, -(-size // 6), -(-size // 6), 1)))
        return {"": images[:, :size, :size].astype(np.float32)}

    return inputs


def _bases(length: int) -> Callable[[np.random.Generator], Arrays]:
    """Strands of DNA, each base as one of four ones."""
    return lambda rng: {"": np.eye(4, dtype=np.float32)[rng.integers(0, 4, (_ROWS, length))]}


def _tones(rng: np.random.Generator) -> Arrays:
    """Two seconds of three tones each, at 22,050 samples a second."""
    seconds = np.arange(43_844) / 22_050
    pitches = 440 * 2 ** (rng.integers(-12, 12, (4, 3, 1)) / 12)
    sound = np.sin(2 * np.pi * pitches * seconds).sum(axis=1) / 6
    return {"": sound[..., None].astype(np.float32)}


def _mutations(rng: np.random.Generator) -> Arrays:
    near = rng.dirichlet(np.ones(20), (_ROWS, 7)).astype(np.float32)
    old, new = np.eye(20, dtype=np.float32)[rng.integers(0, 20, (2, _ROWS))]
    return {"env": near, "mut": new - old, "env_inverse": near, "mut_inverse": old - new}


def _text(rng: np.random.Generator) -> Arrays:
    characters, kinds = (rng.integers(0, n, (_ROWS, 21)).astype(np.int32) for n in (178, 12))
    return {"chars": characters, "types": kinds}


def _spectra(rng: np.random.Generator) -> Arrays:
    return {"": rng.normal(0, 1, (_ROWS, 20, 216, 2)).astype(np.float32)}


_MTCNN = ("mtcnn==0.1.1", "fd69d2f4dd10647dd7481a53b9586e805f35a17c61ac78ba472a7f53766eb86e", "MIT")
_MMSPLICE = (
    "mmsplice==1.0.3",
    "06a7ddef124aa04d5d960cf72f220b9ca2a4a9a499b3fce31f2e0408b2cf5504",
    "MIT",
)

MODELS: dict[str, Trained] = {
    "basic_pitch": Trained(  # a SavedModel by TensorFlow 2.4.1
        "basic-pitch==0.4.0",
        "738adb503aae7fdfc7d1e1511aa0ce35052315f260a19531ef4c356708425db0",
        "Apache-2.0",
        _whole("basic_pitch/saved_models/icassp_2022/nmp"),
        _tones,
    ),
    "crema_chords": Trained(
        "crema==0.2.0",
        "b2787afd0367463438ca2b9b2944c490308eee1f307e5796078ec540a6281484",
        "ISC",
        _chords,
        _spectra,
    ),
    "mtcnn_pnet": Trained(*_MTCNN, _faces("pnet"), _images(24)),
    "mtcnn_rnet": Trained(*_MTCNN, _faces("rnet"), _images(24)),
    "mtcnn_onet": Trained(*_MTCNN, _faces("onet"), _images(48)),
    "mmsplice_donor": Trained(*_MMSPLICE, _whole("mmsplice/models/Donor.h5"), _bases(18)),
    "mmsplice_acceptor": Trained(*_MMSPLICE, _splice_acceptor, _bases(53)),
    "acdc_stability": Trained(
        "acdc-nn==0.0.17",
        "d3981640475cf6257ab464f494d5e9fdac33ee5c333c18b200fef0b897634905",
        "MIT",
        _stability,
        _mutations,
    ),
    "deepcut_words": Trained(
        "deepcut==0.7.0.0",
        "054b778236b75ee505fb79759e180972e8b50be9af4c741451beceab0bbd887b",
        "MIT",
        _words,
        _text,
    ),
}
