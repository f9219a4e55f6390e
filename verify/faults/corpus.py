"""The corpus: right bundles, and wrong ones that differ in one artifact."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from export.train import source_of
from portproof.bundle import digest, tensors
from portproof.bundle.bundle import Bundle
from portproof.bundle.errors import ExportError
from portproof.formats.table import select
from portproof.oracle.oracle import Oracle
from portproof.sources.keras_models import keras_inputs, keras_outputs
from portproof.sources.source import Source
from tests.helpers.sources import FLOAT32, exported
from verify.faults import architectures, mutations
from verify.faults.damage import grafted

BUILT_IN = ("quadratic", "quadratic_keras", "my_module")
# A fault of weights alone goes into two formats each, in turn; one of the graph into all.
WEIGHT_FORMATS = 2


@dataclass(frozen=True)
class Fault:
    """One artifact that is wrong in one way. `equivalent` says that no number shows it."""

    architecture: str
    format: str
    title: str
    bundle: Bundle
    equivalent: bool = False


@dataclass(frozen=True)
class Right:
    """An architecture, exported as it should be. `fresh` makes its source again, to be spoiled."""

    name: str
    bundle: Bundle
    source: Source
    fresh: Callable[[], Source]

    @property
    def formats(self) -> list[str]:
        return [artifact.format for artifact in self.bundle.manifest.artifacts]

    @property
    def model(self) -> keras.Model | None:
        return self.source.model if isinstance(self.source.model, keras.Model) else None


def right(name: str, folder: Path, training: Path) -> Right:
    """Export one architecture, to every format that carries it."""

    def fresh() -> Source:
        if name in BUILT_IN:
            return source_of(name, training)
        if name in architectures.KERAS:
            return architectures.source_of(name, architectures.model(name))
        return architectures.integers()

    source = fresh()
    return Right(name, exported(source, folder / name), source, fresh)


def faults(of: Right, folder: Path, on_trial: list[str]) -> Iterator[Fault]:
    """Every fault of one architecture in some formats, each written below `folder` in turn."""
    if of.model is not None:
        yield from _of_keras(of, of.model, folder, on_trial)
    else:
        yield from _of_variables(of, folder, on_trial)
    if of.name == "integers":
        for title, source in (("int32 saturating", _saturating()), ("int32 as float32", _floats())):
            yield from written(of, folder, title, source, ["savedmodel", "tflite"])


def _of_keras(of: Right, model: keras.Model, folder: Path, on_trial: list[str]) -> Iterator[Fault]:
    turn = 0
    for title, weights_alone, wrong in mutations.faulty(model):
        source = architectures.source_of(of.name, wrong)
        formats = [f for f in on_trial if weights_alone or f != "checkpoint"]
        if title in mutations.OF_NAMES:  # tfjs-layers goes by the layers' names, which stay
            formats = [f for f in formats if f != "tfjs-layers"]
        if weights_alone:
            formats = [formats[(turn + n) % len(formats)] for n in range(WEIGHT_FORMATS)]
            turn += WEIGHT_FORMATS
        yield from written(of, folder, title, source, formats)
    if of.name == "batch_norm":
        source = _in_training_mode(of)
        formats = [f for f in ("savedmodel", "tflite", "tfjs-graph") if f in on_trial]
        yield from written(of, folder, "batch norm in training mode", source, formats)


def _of_variables(of: Right, folder: Path, on_trial: list[str]) -> Iterator[Fault]:
    formats = [f for f in on_trial if f != "keras"]  # its weights were set when it was made
    variables = of.source.model.variables
    for title, change in mutations.OF_VARIABLES.items():
        for first in mutations.places(change, variables):
            source = of.fresh()
            mutations.spoil(source.model.variables, change, first)
            yield from written(of, folder, f"{title} ({variables[first].name})", source, formats)


def written(
    of: Right, folder: Path, title: str, source: Source, formats: list[str]
) -> Iterator[Fault]:
    """The right bundle with one format's files from a wrong source, for each format."""
    equivalent = _equivalent(of, source)
    with tempfile.TemporaryDirectory(prefix="portproof-") as made:
        written = _artifacts(source, Path(made), formats)
        for format_ in written:
            name = f"{of.name} {title} {format_}".replace(" ", "-")
            usual = digest.folder_records(of.bundle.path, format_)
            if digest.folder_records(Path(made), format_) == usual:
                continue  # the format cannot hold this fault
            bundle = grafted(of.bundle, Path(made), format_, folder / name)
            yield Fault(of.name, format_, title, bundle, equivalent)
            shutil.rmtree(bundle.path)


def _artifacts(source: Source, folder: Path, formats: list[str]) -> list[str]:
    """Write some formats of a source; those that a converter refuses are left out."""
    needed = set(formats)
    if needed & {"tflite", "tfjs-graph"}:
        needed.add("savedmodel")
    done = []
    for format_ in select(FLOAT32):
        if format_.name in needed:
            try:
                format_.write(source, folder, format_.folder)
            except (ExportError, ValueError):  # an op that the converter does not know
                continue
            done.append(format_.name)
    return [name for name in formats if name in done]


def _equivalent(of: Right, source: Source) -> bool:
    """Whether the fault moves no output of the oracle by a float32 rounding.

    By no more than one unit in the last place of the largest magnitude that the output has in the
    same column (its last axis) of the same case.
    """
    name = next(iter(of.source.functions))
    if source.signatures[name].outputs != of.source.signatures[name].outputs:
        return False
    oracle = Oracle(source.concrete(name))
    return all(
        _same(of.bundle.read(vector), oracle, source, name)
        for vector in of.bundle.vectors(name)
        if vector.regime != "edge"
    )


def _same(arrays: tensors.Arrays, oracle: Oracle, source: Source, name: str) -> bool:
    inputs = tensors.in_group(arrays, "inputs")
    exact = tensors.in_group(arrays, "oracle")
    if not exact:
        made = source.call(name, inputs)
        return all(
            np.array_equal(made[n], a) for n, a in tensors.in_group(arrays, "reference").items()
        )
    made = oracle(inputs)
    for output, array in exact.items():
        column = array.reshape(-1, array.shape[-1] if array.ndim > 1 else 1)
        moved = np.abs(np.reshape(made[output], column.shape) - column).max(axis=0)
        unit = np.spacing(np.abs(column).max(axis=0).astype(np.float32))
        if not (moved <= unit).all():
            return False
    return True


def _in_training_mode(of: Right) -> Source:
    """The same model, with batch normalisation by the statistics of the batch."""
    model = of.model
    assert model is not None
    spec = of.source.signatures["serving_default"].inputs
    specs = {n: tf.TensorSpec(s.shape, s.dtype, name=n) for n, s in spec.items()}

    def serve(**inputs: Any) -> dict[str, Any]:
        weights = [tf.convert_to_tensor(v.value) for v in model.trainable_variables]
        rest = [tf.convert_to_tensor(v.value) for v in model.non_trainable_variables]
        made, _ = model.stateless_call(weights, rest, keras_inputs(model, inputs), training=True)
        return dict(keras_outputs(model, made))

    function = tf.function(serve, autograph=False)
    function.get_concrete_function(**specs)
    return Source(of.name, model, {"serving_default": function}, dict(of.source.examples))


def _module(compute: Callable[[Any, Any, Any], Any]) -> Source:
    module = architectures.Integers()
    spec = tf.TensorSpec([None, 3], tf.int32, name="x")
    serve = tf.function(
        lambda x: {"y": compute(x, module.factor, module.offset)},
        input_signature=[spec],
        autograph=False,
    )
    module.serving_default = serve
    return Source(
        "integers", module, {"serving_default": serve}, dict(architectures.integers().examples)
    )


def _saturating() -> Source:
    def compute(x: Any, factor: Any, offset: Any) -> Any:
        wide = tf.cast(x, tf.int64) * tf.cast(factor, tf.int64) + tf.cast(offset, tf.int64)
        low, high = tf.constant(-(2**31), tf.int64), tf.constant(2**31 - 1, tf.int64)
        return tf.cast(tf.minimum(tf.maximum(wide, low), high), tf.int32)

    return _module(compute)


def _floats() -> Source:
    def compute(x: Any, factor: Any, offset: Any) -> Any:
        return tf.cast(tf.cast(x, tf.float32) * tf.cast(factor, tf.float32), tf.int32) + offset

    return _module(compute)
