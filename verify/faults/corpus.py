"""The corpus: correctly exported bundles, and copies of them in which one artifact is wrong."""

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
from verify.faults.damage import with_format_from

BUILT_IN = ("quadratic", "quadratic_keras", "my_module")
# A fault in the graph is tried in every format. A fault in only the weights is tried in this many
# formats: the first fault in the first two, the next fault in the next two, and so on.
FORMATS_PER_WEIGHT_FAULT = 2


@dataclass(frozen=True)
class Fault:
    """One artifact that is wrong in one way.

    `equivalent` says that the fault changes no output by more than one float32 rounding.
    """

    architecture: str
    format: str
    title: str
    bundle: Bundle
    equivalent: bool = False


@dataclass(frozen=True)
class Exported:
    """A correctly exported architecture. `make_source` builds a new source, to add a fault to."""

    name: str
    bundle: Bundle
    source: Source
    make_source: Callable[[], Source]

    @property
    def formats(self) -> list[str]:
        return [artifact.format for artifact in self.bundle.manifest.artifacts]

    @property
    def keras_model(self) -> keras.Model | None:
        return self.source.model if isinstance(self.source.model, keras.Model) else None


def export_architecture(name: str, folder: Path, training: Path) -> Exported:
    """Export one architecture to every format that supports it."""

    def make_source() -> Source:
        if name in BUILT_IN:
            return source_of(name, training)
        if name in architectures.KERAS_BUILDERS:
            return architectures.keras_source(name, architectures.build_model(name))
        return architectures.integers_source()

    source = make_source()
    return Exported(name, exported(source, folder / name), source, make_source)


def faults(undamaged: Exported, folder: Path, formats: list[str]) -> Iterator[Fault]:
    """Every fault of one architecture in the given formats.

    The bundle of a fault is written below `folder`, and deleted when the next fault is asked for.
    """
    if undamaged.keras_model is not None:
        yield from _keras_faults(undamaged, undamaged.keras_model, folder, formats)
    else:
        yield from _variable_faults(undamaged, folder, formats)
    if undamaged.name == "integers":
        sources = (("int32 saturating", _saturating()), ("int32 as float32", _through_floats()))
        for title, source in sources:
            yield from replace_each_format(
                undamaged, folder, title, source, ["savedmodel", "tflite"]
            )


def _keras_faults(
    undamaged: Exported, model: keras.Model, folder: Path, formats: list[str]
) -> Iterator[Fault]:
    position = 0
    for title, weights_only, faulty_model in mutations.faulty_models(model):
        source = architectures.keras_source(undamaged.name, faulty_model)
        chosen = [f for f in formats if weights_only or f != "checkpoint"]
        # tfjs-layers names outputs after layers, whose names these mutations do not change.
        if title in mutations.OUTPUT_NAME_MUTATIONS:
            chosen = [f for f in chosen if f != "tfjs-layers"]
        if weights_only:
            chosen = [chosen[(position + n) % len(chosen)] for n in range(FORMATS_PER_WEIGHT_FAULT)]
            position += FORMATS_PER_WEIGHT_FAULT
        yield from replace_each_format(undamaged, folder, title, source, chosen)
    if undamaged.name == "batch_norm":
        source = _in_training_mode(undamaged)
        chosen = [f for f in ("savedmodel", "tflite", "tfjs-graph") if f in formats]
        yield from replace_each_format(
            undamaged, folder, "batch norm in training mode", source, chosen
        )


def _variable_faults(undamaged: Exported, folder: Path, formats: list[str]) -> Iterator[Fault]:
    # The weights of the Keras form were set when it was built, so no changed variable reaches it.
    chosen = [f for f in formats if f != "keras"]
    variables = undamaged.source.model.variables
    for title, change in mutations.VARIABLE_CHANGES.items():
        for index in mutations.changeable(change, variables):
            source = undamaged.make_source()
            mutations.apply_change(source.model.variables, change, index)
            full_title = f"{title} ({variables[index].name})"
            yield from replace_each_format(undamaged, folder, full_title, source, chosen)


def replace_each_format(
    undamaged: Exported, folder: Path, title: str, source: Source, formats: list[str]
) -> Iterator[Fault]:
    """For each format: the undamaged bundle with that format's files written from `source`."""
    equivalent = _is_equivalent(undamaged, source)
    with tempfile.TemporaryDirectory(prefix="portproof-") as source_folder:
        source_files = Path(source_folder)
        for format_ in _write_formats(source, source_files, formats):
            name = f"{undamaged.name} {title} {format_}".replace(" ", "-")
            undamaged_records = digest.folder_records(undamaged.bundle.path, format_)
            if digest.folder_records(source_files, format_) == undamaged_records:
                continue  # the format does not store what the fault changes
            bundle = with_format_from(undamaged.bundle, source_files, format_, folder / name)
            yield Fault(undamaged.name, format_, title, bundle, equivalent)
            shutil.rmtree(bundle.path)


def _write_formats(source: Source, folder: Path, formats: list[str]) -> list[str]:
    """Write a source in the given formats. Returns those that no converter refused."""
    needed = set(formats)
    if needed & {"tflite", "tfjs-graph"}:
        needed.add("savedmodel")
    written = []
    for format_ in select(FLOAT32):
        if format_.name in needed:
            try:
                format_.write(source, folder, format_.folder)
            except (ExportError, ValueError):  # the converter does not know an operation
                continue
            written.append(format_.name)
    return [name for name in formats if name in written]


def _is_equivalent(undamaged: Exported, source: Source) -> bool:
    """Whether the fault changes no output of the oracle by more than one float32 rounding.

    One rounding is one unit in the last place of the largest magnitude that the output has in the
    same column (its last axis) of the same case.
    """
    signature = next(iter(undamaged.source.functions))
    if source.signatures[signature].outputs != undamaged.source.signatures[signature].outputs:
        return False
    oracle = Oracle(source.concrete(signature))
    return all(
        _case_is_equivalent(undamaged.bundle.read(vector), oracle, source, signature)
        for vector in undamaged.bundle.vectors(signature)
        if vector.regime != "edge"
    )


def _case_is_equivalent(
    arrays: tensors.Arrays, oracle: Oracle, source: Source, signature: str
) -> bool:
    inputs = tensors.in_group(arrays, "inputs")
    undamaged_exact = tensors.in_group(arrays, "oracle")
    if not undamaged_exact:
        outputs = source.call(signature, inputs)
        return all(
            np.array_equal(outputs[name], reference)
            for name, reference in tensors.in_group(arrays, "reference").items()
        )
    exact = oracle(inputs)
    for name, array in undamaged_exact.items():
        columns = array.reshape(-1, array.shape[-1] if array.ndim > 1 else 1)
        difference = np.abs(np.reshape(exact[name], columns.shape) - columns).max(axis=0)
        unit = np.spacing(np.abs(columns).max(axis=0).astype(np.float32))
        if not (difference <= unit).all():
            return False
    return True


def _in_training_mode(undamaged: Exported) -> Source:
    """The same model, with batch normalisation by the statistics of the batch."""
    model = undamaged.keras_model
    assert model is not None
    input_specs = undamaged.source.signatures["serving_default"].inputs
    specs = {
        name: tf.TensorSpec(spec.shape, spec.dtype, name=name) for name, spec in input_specs.items()
    }

    def serve(**inputs: Any) -> dict[str, Any]:
        trainable = [tf.convert_to_tensor(v.value) for v in model.trainable_variables]
        non_trainable = [tf.convert_to_tensor(v.value) for v in model.non_trainable_variables]
        outputs, _ = model.stateless_call(
            trainable, non_trainable, keras_inputs(model, inputs), training=True
        )
        return dict(keras_outputs(model, outputs))

    function = tf.function(serve, autograph=False)
    function.get_concrete_function(**specs)
    examples = dict(undamaged.source.examples)
    return Source(undamaged.name, model, {"serving_default": function}, examples)


def _integers_with(compute: Callable[[Any, Any, Any], Any]) -> Source:
    """The architecture `integers` with `compute` instead of its arithmetic."""
    module = architectures.Integers()
    spec = tf.TensorSpec([None, 3], tf.int32, name="x")
    serve = tf.function(
        lambda x: {"y": compute(x, module.factor, module.offset)},
        input_signature=[spec],
        autograph=False,
    )
    module.serving_default = serve
    examples = dict(architectures.integers_source().examples)
    return Source("integers", module, {"serving_default": serve}, examples)


def _saturating() -> Source:
    def compute(x: Any, factor: Any, offset: Any) -> Any:
        wide = tf.cast(x, tf.int64) * tf.cast(factor, tf.int64) + tf.cast(offset, tf.int64)
        low, high = tf.constant(-(2**31), tf.int64), tf.constant(2**31 - 1, tf.int64)
        return tf.cast(tf.minimum(tf.maximum(wide, low), high), tf.int32)

    return _integers_with(compute)


def _through_floats() -> Source:
    def compute(x: Any, factor: Any, offset: Any) -> Any:
        return tf.cast(tf.cast(x, tf.float32) * tf.cast(factor, tf.float32), tf.int32) + offset

    return _integers_with(compute)
