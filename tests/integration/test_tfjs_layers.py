"""Every layer exported to tfjs-layers loads there, and infers and trains as in Keras."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from portproof.bundle.bundle import Bundle
from portproof.bundle.errors import ExportError
from portproof.bundle.report import Report
from portproof.exporting import export_source
from portproof.formats.table import select
from portproof.formats.tfjs_layer_configs import LAYERS
from portproof.formats.tfjs_layers import named_variables, topology
from portproof.runtimes.table import select as runtimes
from portproof.sources.keras_models import from_keras
from portproof.verifying.scheduling import run_cells

RANDOM = np.random.default_rng(3)


def sequential(*hidden: keras.Layer, shape: tuple[int, ...]) -> keras.Model:
    return keras.Sequential([keras.Input(shape, name="x"), *hidden])


def pooled(kind: str, axes: int) -> keras.Model:
    padding = "same" if kind == "Max" else "valid"
    layer = getattr(layers, f"{kind}Pooling{axes}D")(2, strides=1, padding=padding)
    return sequential(layer, shape=(6, 5, 2)[2 - axes :])


def pooled_globally(kind: str, axes: int) -> keras.Model:
    return sequential(getattr(layers, f"Global{kind}Pooling{axes}D")(), shape=(6, 5, 2)[2 - axes :])


def merged(kind: type[keras.Layer]) -> keras.Model:
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    return keras.Model([a, b], kind(name="y")([a, layers.Dense(4, name="d")(b)]))


# At least one model for each row of the table, with options that are not the defaults.
MODELS: dict[str, Callable[[], keras.Model]] = {
    "Activation": lambda: sequential(
        *(
            layers.Activation(name)
            for name in ("elu", "gelu", "mish", "relu6", "selu", "softsign", "silu", "log_softmax")
        ),
        shape=(5,),
    ),
    "Dense": lambda: sequential(
        layers.Dense(
            7, activation="softplus", kernel_regularizer="l2", kernel_constraint="non_neg"
        ),
        layers.Dense(3, use_bias=False, activation="softmax"),
        shape=(5,),
    ),
    "Embedding": lambda: sequential(layers.Embedding(9, 4), shape=(6,)),
    "Flatten": lambda: sequential(layers.Flatten(), shape=(3, 4)),
    "Permute": lambda: sequential(layers.Permute((2, 1)), shape=(3, 4)),
    "RepeatVector": lambda: sequential(layers.RepeatVector(3), shape=(4,)),
    "Reshape": lambda: sequential(layers.Reshape((2, -1)), shape=(3, 4)),
    "Conv1D": lambda: sequential(layers.Conv1D(3, 3, strides=2, padding="same"), shape=(8, 2)),
    "Conv2D": lambda: sequential(
        layers.Conv2D(3, 3, padding="same", activation="relu"),
        layers.Conv2D(2, (2, 3), strides=(2, 1), use_bias=False),
        shape=(8, 9, 2),
    ),
    "Conv2DTranspose": lambda: sequential(
        layers.Conv2DTranspose(3, 3, strides=2, padding="same"), shape=(5, 4, 2)
    ),
    "DepthwiseConv2D": lambda: sequential(
        layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same"), shape=(6, 6, 2)
    ),
    "SeparableConv2D": lambda: sequential(layers.SeparableConv2D(4, 3), shape=(6, 6, 2)),
    "Cropping2D": lambda: sequential(layers.Cropping2D(((1, 0), (2, 1))), shape=(6, 6, 2)),
    "UpSampling2D": lambda: sequential(layers.UpSampling2D((2, 3)), shape=(3, 3, 2)),
    "ZeroPadding2D": lambda: sequential(layers.ZeroPadding2D(((1, 0), (2, 1))), shape=(3, 3, 2)),
    **{
        f"{kind}Pooling{n}D": partial(pooled, kind, n)
        for kind in ("Max", "Average")
        for n in (1, 2)
    },
    **{
        f"Global{kind}Pooling{n}D": partial(pooled_globally, kind, n)
        for kind in ("Max", "Average")
        for n in (1, 2)
    },
    "BatchNormalization": lambda: sequential(
        layers.BatchNormalization(epsilon=0.02, momentum=0.5), shape=(4,)
    ),
    "LayerNormalization": lambda: sequential(layers.LayerNormalization(epsilon=0.01), shape=(4,)),
    "Dropout": lambda: sequential(layers.Dense(3), layers.Dropout(0.5), shape=(4,)),
    "GaussianNoise": lambda: sequential(layers.Dense(3), layers.GaussianNoise(0.5), shape=(4,)),
    "GaussianDropout": lambda: sequential(layers.Dense(3), layers.GaussianDropout(0.5), shape=(4,)),
    "ReLU": lambda: sequential(layers.ReLU(max_value=1.5), shape=(4,)),
    "LeakyReLU": lambda: sequential(layers.LeakyReLU(negative_slope=0.2), shape=(4,)),
    "ELU": lambda: sequential(layers.ELU(), shape=(4,)),
    "PReLU": lambda: sequential(layers.PReLU(), shape=(4,)),
    "Softmax": lambda: sequential(layers.Softmax(), shape=(4,)),
    "SimpleRNN": lambda: sequential(layers.SimpleRNN(3, return_sequences=True), shape=(5, 2)),
    "LSTM": lambda: sequential(layers.LSTM(3), shape=(5, 2)),
    "GRU": lambda: sequential(layers.GRU(3, reset_after=False), shape=(5, 2)),
    "Bidirectional": lambda: sequential(layers.Bidirectional(layers.LSTM(3)), shape=(5, 2)),
    "TimeDistributed": lambda: sequential(layers.TimeDistributed(layers.Dense(3)), shape=(5, 2)),
    **{
        kind: partial(merged, getattr(layers, kind))
        for kind in ("Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply")
    },
    "Rescaling": lambda: sequential(layers.Rescaling(0.5, offset=-1.0), shape=(4,)),
    "a nested model": lambda: sequential(
        sequential(layers.Dense(3, name="inner"), shape=(4,)), layers.Dense(2), shape=(4,)
    ),
    "a shared layer and two outputs": lambda: shared(),
}


def shared() -> keras.Model:
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    dense = layers.Dense(3, name="shared")
    total = layers.Add(name="total")([dense(a), dense(b)])
    return keras.Model([b, a], {"sum": total, "head": layers.Dense(2, name="h")(total)})


def examples(model: keras.Model) -> dict[str, np.ndarray]:
    def array(shape: Any) -> np.ndarray:
        values = RANDOM.normal(size=(6, *shape[1:])).astype(np.float32)
        embeds = any(isinstance(layer, layers.Embedding) for layer in model.layers)
        return np.abs(np.trunc(values * 3)) if embeds else values

    return {tensor.name: array(tensor.shape) for tensor in model.inputs}


def exported(name: str, model: keras.Model, folder: Path) -> Bundle:
    for variable in model.variables:  # a bias or moving mean of zero would not be tested
        if "seed" not in variable.path:
            variable.assign(RANDOM.uniform(0.2, 1.0, variable.shape).astype(np.float32))
    source = from_keras(name, model, {"serving_default": examples(model)})
    bundle = export_source(
        source, folder / name, formats=select(["tfjs-layers"]), required=["tfjs-layers"]
    )
    assert "tfjs-layers" not in {left.format for left in bundle.manifest.left_out}
    return bundle


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Every model, in Node on the CPU backend, in one run."""
    folder = tmp_path_factory.mktemp("layers")
    bundles = []
    for name, build in MODELS.items():
        keras.utils.clear_session()
        bundles.append(exported(name, build(), folder))
    return run_cells(bundles, runtimes(["tfjs-node-cpu"], []))


def test_every_row_of_the_table_has_a_model() -> None:
    assert set(LAYERS) <= set(MODELS)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_a_layer_gives_kerass_numbers(name: str, report: Report) -> None:
    cells = [
        c for c in report.of_model(name).cells if c.format == "tfjs-layers" and c.regime != "edge"
    ]
    inference = [c for c in cells if not c.signature.endswith("_train_step")]
    assert inference
    assert {c.verdict for c in inference} <= {"exact", "faithful"}, [c.detail for c in inference]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Dense", "Conv2D", "LayerNormalization", "a nested model"])
def test_a_training_step_gives_kerass_weights(name: str, report: Report) -> None:
    cells = [c for c in report.of_model(name).cells if c.signature.endswith("_train_step")]
    assert {c.output for c in cells} > {"loss"}
    assert {c.verdict for c in cells} <= {"exact", "faithful"}, [c.detail for c in cells]


def square(x: keras.KerasTensor) -> keras.KerasTensor:
    return keras.ops.square(x)


class Own(layers.Layer):
    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        return x


def with_op() -> keras.Model:
    x = keras.Input((4,), name="x")
    return keras.Model(x, square(x))


REFUSED = {
    "average pooling past the edge": (
        lambda: sequential(
            layers.AveragePooling2D(2, padding="same", name="mean"), shape=(5, 5, 2)
        ),
        "layer mean .AveragePooling2D. has padding='same'",
    ),
    "Subtract": (lambda: merged(layers.Subtract), r"layer y is a Subtract.*Rescaling\(-1\)"),
    "an op": (with_op, "is a Square, which tfjs-layers does not have"),
    "own": (lambda: sequential(Own(name="own"), shape=(4,)), "layer own is a Own"),
    "hard_sigmoid": (
        lambda: sequential(layers.Dense(3, activation="hard_sigmoid", name="d"), shape=(4,)),
        "layer d .Dense. has the activation 'hard_sigmoid'",
    ),
    "groups": (
        lambda: sequential(layers.Conv2D(4, 3, groups=2, name="c"), shape=(5, 5, 2)),
        "layer c .Conv2D. has groups=2",
    ),
    "GRU as Keras 3 has it": (
        lambda: sequential(layers.GRU(3, name="g"), shape=(5, 2)),
        "layer g .GRU. has reset_after=True",
    ),
    "causal padding": (
        lambda: sequential(layers.Conv1D(3, 3, padding="causal", name="c"), shape=(8, 2)),
        "layer c has causal padding",
    ),
    "dilation": (
        lambda: sequential(layers.Conv2D(4, 3, dilation_rate=2, name="c"), shape=(9, 9, 2)),
        "layer c .Conv2D. has dilation_rate",
    ),
    "another alpha": (
        lambda: sequential(layers.ELU(alpha=0.7, name="e"), shape=(4,)),
        "layer e .ELU. has alpha=0.7",
    ),
    "half precision": (
        lambda: sequential(layers.Dense(3, dtype="mixed_float16", name="d"), shape=(4,)),
        "layer d .Dense. computes in mixed_float16",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_layer_that_tfjs_layers_cannot_load_is_refused_by_name(name: str) -> None:
    build, message = REFUSED[name]
    with pytest.raises(ExportError, match=message):
        topology(build())


def test_two_layers_with_one_name_are_refused() -> None:
    inner = sequential(layers.Dense(4, name="same"), shape=(4,))
    model = sequential(inner, layers.Dense(2, name="same"), shape=(4,))
    with pytest.raises(ExportError, match="two layers are named same"):
        named_variables(model)


def _large() -> keras.Model:
    return sequential(layers.Dense(1000), layers.Dense(1000), shape=(4,))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (MODELS["Dropout"], "it draws random numbers (dropout, noise)"),
        (MODELS["Flatten"], "it has no weights to train"),
        (_large, "it has 1,006,000 weights to train, and steps are proven up to 1,000,000"),
    ],
)
def test_the_reason_for_no_training_step_is_noted(
    make: Callable[[], keras.Model], reason: str, tmp_path: Path
) -> None:
    bundle = export_source(
        from_keras("m", make()),
        tmp_path / "m",
        formats=select(["tfjs-layers"]),
        regimes=["typical"],
    )
    [artifact] = [a for a in bundle.manifest.artifacts if a.format == "tfjs-layers"]
    assert artifact.endpoints.keys() == {"serving_default"}
    assert artifact.notes[0].startswith(f"no training step is proven: {reason}")
    assert [vector.regime for vector in bundle.manifest.vectors] == ["typical"]
