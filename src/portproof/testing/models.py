"""The small models of the tests. All of their arithmetic is exact, so that no bound is needed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from portproof.bundle.bundle import Bundle
from portproof.bundle.tensors import Arrays
from portproof.quiet import without_tensorflows_log

if TYPE_CHECKING:
    from portproof.sources.source import Source

# Of every dtype that formats are likely to carry, beside float32.
DTYPES = ("float16", "float64", "int8", "uint8", "int32", "int64", "bool")


@dataclass(frozen=True)
class KitModel:
    """A model, and the same in NumPy.

    Attributes:
        name: Its name.
        build: Makes the `tf.Module`.
        compute: What its only signature gives, in NumPy.
        inputs: Rows of its own.
        keras_form: Makes the same of Keras's own layers, for the formats that Keras writes.
    """

    name: str
    build: Callable[[], Any]
    compute: Callable[[Arrays], Arrays]
    inputs: Arrays
    keras_form: Callable[[], Any] | None = None


def _scale(factor: float) -> Any:
    import tensorflow as tf

    class Scale(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.factor = tf.Variable(factor)

        @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="x")])  # type: ignore[untyped-decorator]
        def serve(self, x: Any) -> dict[str, Any]:
            return {"y": self.factor * x}

    return Scale()


def _named() -> Any:
    import tensorflow as tf

    class Named(tf.Module):  # type: ignore[misc]
        @tf.function(  # type: ignore[untyped-decorator]
            input_signature=[
                tf.TensorSpec([None, 3], tf.float32, name="minuend"),
                tf.TensorSpec([None, 3], tf.float32, name="a"),
            ]
        )
        def serve(self, minuend: Any, a: Any) -> dict[str, Any]:
            return {"z": minuend + a, "difference": minuend - a}

    return Named()


def _keras_scale(factor: float) -> Any:
    import keras

    x = keras.Input((2,), name="x")
    return keras.Model(x, {"y": keras.layers.Rescaling(factor, name="y")(x)})


def _keras_named() -> Any:
    import keras

    minuend, a = keras.Input((3,), name="minuend"), keras.Input((3,), name="a")
    outputs = {
        "z": keras.layers.Add(name="z")([minuend, a]),
        "difference": keras.layers.Subtract(name="difference")([minuend, a]),
    }
    return keras.Model({"minuend": minuend, "a": a}, outputs)


def _repeated(dtype: str) -> Any:
    import tensorflow as tf

    class Repeated(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec([None, 2], dtype, name="x")])  # type: ignore[untyped-decorator]
        def serve(self, x: Any) -> dict[str, Any]:
            return {"y": tf.concat([x, x], 1)}

    return Repeated()


def _scaled(name: str, factor: float) -> KitModel:
    return KitModel(
        name,
        lambda: _scale(factor),
        lambda inputs: {"y": np.float32(factor) * inputs["x"]},
        {"x": np.arange(-6, 8, dtype=np.float32).reshape(7, 2) / 4},
        lambda: _keras_scale(factor),
    )


SCALE = _scaled("scale", 2.5)
OTHER_SCALE = _scaled("other_scale", -0.5)
NAMED = KitModel(
    "named",
    _named,
    lambda inputs: {
        "z": inputs["minuend"] + inputs["a"],
        "difference": inputs["minuend"] - inputs["a"],
    },
    {
        "minuend": np.arange(21, dtype=np.float32).reshape(7, 3),
        "a": np.arange(21, dtype=np.float32)[::-1].reshape(7, 3) / 2,
    },
    _keras_named,
)


def _of_dtype(dtype: str) -> KitModel:
    return KitModel(
        f"of_{dtype}",
        lambda: _repeated(dtype),
        lambda inputs: {"y": np.concatenate([inputs["x"], inputs["x"]], 1)},
        {"x": (np.arange(14) % 3).reshape(7, 2).astype(dtype)},
    )


OF_DTYPE = {dtype: _of_dtype(dtype) for dtype in DTYPES}
MODELS = (SCALE, OTHER_SCALE, NAMED, *OF_DTYPE.values())


def exported(model: KitModel, folder: Path, formats: Sequence[str]) -> Bundle:
    """The model in these formats, or those of them that carry it, below a folder.

    What was exported there before is taken, if all of these formats were tried then.
    """
    path = folder / model.name
    if path.is_dir():
        bundle = Bundle.open(path)
        if reasons(bundle).keys() | {a.name for a in bundle.manifest.artifacts} >= set(formats):
            return bundle
    return write(source_of(model), path, formats)


def source_of(model: KitModel) -> "Source":
    """The model, to be exported."""
    import portproof

    forms = {"serve": model.keras_form()} if model.keras_form else {}
    return portproof.make_source(
        model.build(), name=model.name, inputs=model.inputs, keras_forms=forms
    )


def write(source: "Source", path: Path, formats: Sequence[str]) -> Bundle:
    """Export to these formats, or those of them that carry it."""
    from portproof.exporting import export_source
    from portproof.formats.converting import converters_for
    from portproof.formats.table import select

    chosen = select(list(formats))
    with converters_for(chosen), without_tensorflows_log():
        return export_source(source, path, lambda _: None, chosen, ())


def reasons(bundle: Bundle) -> dict[str, str]:
    """By format, why a bundle does not have it."""
    return {left_out.format: left_out.reason for left_out in bundle.manifest.left_out}
