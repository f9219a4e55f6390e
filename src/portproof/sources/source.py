"""Source: a model with its signatures and example inputs, ready to export."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from portproof.bundle.errors import ExportError, UsageError
from portproof.bundle.layer_names import is_in, names_in, scopes
from portproof.bundle.manifest import Structure
from portproof.bundle.signature import Signature
from portproof.bundle.tensors import Arrays

# What handles tf.functions is imported when it is used: it imports TensorFlow.
if TYPE_CHECKING:
    import keras

    from portproof.sources.keras_backends import Original

Examples = Mapping[str, Mapping[str, np.ndarray[Any, Any]]]


@dataclass(frozen=True)
class Source:
    """A model with everything that its export needs to know.

    `portproof.make_source` makes one of a model, and finds out most of this.

    Attributes:
        name: The model's name, which its bundle gets.
        model: The `tf.Module`, `keras.Model` or loaded SavedModel.
        functions: By signature, the flat `tf.function` behind it, which has one declared or traced
            signature, or the concrete function of a loaded SavedModel.
        examples: By signature and input, an array of the model's own data. The first dimension is
            the rows, where it is dynamic in all inputs.
        keras_forms: By signature, a `keras.Model` of stock layers with the same weights and names.
            For a `keras.Model` it is the model itself.
        draw_plots: Writes plots of the training as PNG files into a folder.
        structures: How the original nests inputs and outputs, of the signatures where it does.
        labels: By signature and output, the right class of each row of the examples, as integers.
        generated_inputs: The signatures whose examples were generated, because nobody gave any.
        left_out_signatures: Signatures of the model that no bundle can carry, and why, such as
            those of strings.
        one_row: Whether TFLite files for exactly one row are wanted too, which double their size.
            Browsers and microcontrollers run no others.
        keep_float: Layers that variants keep in floats, by name; of a model without layers, scopes
            or operations.
        original: What gives the references, where that is not TensorFlow: a `keras.Model` of
            another backend, of which `model` is the graph.
    """

    name: str
    model: Any
    functions: Mapping[str, Any]
    examples: Examples
    keras_forms: Mapping[str, keras.Model] = field(default_factory=dict)
    draw_plots: Callable[[Path], None] | None = None
    structures: Mapping[str, Structure] = field(default_factory=dict)
    labels: Examples = field(default_factory=dict)
    generated_inputs: frozenset[str] = frozenset()
    left_out_signatures: Mapping[str, str] = field(default_factory=dict)
    one_row: bool = True
    keep_float: tuple[str, ...] = ()
    original: Original | None = None

    def __post_init__(self) -> None:
        if not self.functions:
            raise ExportError(f"{self.name} has no signature, so there is nothing to export.")
        check_kept(self)
        for name, signature in self.signatures.items():
            check_examples(name, signature, self.examples.get(name, {}))
            for output, labels in self.labels.get(name, {}).items():
                check_labels(name, signature, self.examples[name], output, labels)

    def concrete(self, signature: str) -> Any:
        """The one traced graph of a signature, the same object at every call."""
        from portproof.sources.functions import concrete_of

        return concrete_of(self.functions[signature])

    @cached_property
    def signatures(self) -> dict[str, Signature]:
        """Every signature by name."""
        from portproof.sources.functions import signature_of

        return {name: signature_of(name, self.concrete(name)) for name in self.functions}

    def call(self, signature: str, inputs: Mapping[str, np.ndarray[Any, Any]]) -> Arrays:
        """What a signature's function computes, in this process."""
        from portproof.sources.functions import call

        return call(self.functions[signature], inputs)

    @property
    def saved(self) -> SavedSource:
        """What its SavedModel is converted with."""
        return SavedSource(
            self.name,
            self.signatures,
            self.examples,
            self.generated_inputs,
            self.one_row,
            self.keep_float,
            self.layers,
        )

    @cached_property
    def layers(self) -> tuple[str, ...]:
        """The names of a Keras model's layers, those inside other layers too."""
        from portproof.sources.keras_models import layers_of

        return tuple(dict.fromkeys(layer.name for layer in layers_of(self.own_model)))

    @property
    def own_model(self) -> Any:
        """The model that the person has; `model` is what TensorFlow saves of it."""
        return self.original.model if self.original else self.model

    @property
    def variables(self) -> list[Any]:
        """The model's variables; of a loaded SavedModel those that its signatures use."""
        if isinstance(own := getattr(self.model, "variables", None), tuple | list):
            return list(own)
        used = {v.ref(): v for name in self.functions for v in self.concrete(name).graph.variables}
        return sorted(used.values(), key=lambda variable: str(variable.name))


@dataclass(frozen=True)
class SavedSource:
    """What is to be known of a source to convert its SavedModel, in any process.

    Attributes:
        name: The model's name.
        signatures: Every signature by name.
        examples: As of `Source`.
        generated_inputs: As of `Source`.
        one_row: Whether TFLite files for one row are wanted beside those for any number of rows.
        keep_float: As of `Source`.
        layers: The names of a Keras model's layers.
    """

    name: str
    signatures: Mapping[str, Signature]
    examples: Examples
    generated_inputs: frozenset[str] = frozenset()
    one_row: bool = True
    keep_float: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()

    def kept(self, places: Mapping[str, str]) -> list[str]:
        """The tensors or nodes of a file that are to be kept in floats.

        Args:
            places: By name, the name by whose scopes it is told to which layers it belongs.
        """
        wanted = names_in(places.values(), self.keep_float, self.layers)
        return sorted(name for name, place in places.items() if place in wanted)

    def kept_note(self, places: Iterable[str]) -> str:
        """In words, which layers a variant keeps in floats, of which the file has these places."""
        names = set(places)
        found = [layer for layer in self.keep_float if names_in(names, [layer], self.layers)]
        absent = [layer for layer in self.keep_float if layer not in found]
        said = [f"kept in floats: {', '.join(found)}"] if found else []
        said += [f"nothing of {', '.join(absent)} is in it to keep in floats"] if absent else []
        return "; ".join(said)


def check_kept(source: Source) -> None:
    """Raises UsageError where the model has no layer of a name that is to be kept in floats."""
    if not source.keep_float:
        return
    from portproof.graphs.functions import operations

    graphs = [source.concrete(name).graph for name in source.functions]
    nodes = [operation.name for graph in graphs for operation in operations(graph)]
    for layer in source.keep_float:
        if layer in source.layers or any(is_in(node, layer, source.layers) for node in nodes):
            continue
        known = source.layers or tuple(dict.fromkeys(scopes(nodes)))
        near = difflib.get_close_matches(layer, known, n=5, cutoff=0.4) or known[:5]
        raise UsageError(
            f"{source.name} has no layer {layer!r} to keep in floats; it has "
            f"{', '.join(near)}{' and others' if len(known) > len(near) else ''}."
        )


def check_examples(
    name: str, signature: Signature, examples: Mapping[str, np.ndarray[Any, Any]]
) -> None:
    """Raises UsageError where examples are not an array of the right kind for each input."""
    if set(examples) != set(signature.inputs):
        raise UsageError(
            f"{name}: example inputs are given for {sorted(examples) or 'nothing'}, "
            f"and the signature's inputs are {sorted(signature.inputs)}."
        )
    for key, array in examples.items():
        if not signature.inputs[key].accepts(array):
            wanted = signature.inputs[key].shape
            thin = wanted[-1:] == (1,) and len(wanted) == array.ndim + 1
            raise UsageError(
                f"{name}: the example for {key} is {array.dtype}{list(array.shape)}, "
                f"and the signature says {signature.inputs[key]}"
                + (": give array[..., None]." if thin else ".")
            )
        if array.size == 0:
            raise UsageError(f"{name}: the example for {key} is empty, which proves nothing.")
    rows = {key: len(array) for key, array in examples.items()} if signature.batched else {}
    if len(set(rows.values())) > 1:
        raise UsageError(f"{name}: the examples have different numbers of rows: {rows}.")


def check_labels(
    name: str,
    signature: Signature,
    examples: Mapping[str, np.ndarray[Any, Any]],
    output: str,
    labels: np.ndarray[Any, Any],
) -> None:
    """Raises UsageError where labels are not a class for each row of the examples."""
    if output not in signature.outputs:
        raise UsageError(
            f"{name}: labels are given for {output}, and the outputs are "
            f"{', '.join(signature.outputs)}."
        )
    if not signature.batched:
        raise UsageError(f"{name}: labels are of rows, and the signature has no dynamic batch.")
    rows = len(next(iter(examples.values())))
    if labels.dtype.kind not in "iub" or labels.shape != (rows,):
        raise UsageError(
            f"{name}: the labels of {output} are {labels.dtype}{list(labels.shape)}: give an "
            f"class, an integer, for each of the {rows} rows of the example inputs."
        )
