"""A `tf.Module`, or a SavedModel that was loaded, becomes a Source."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from portproof.bundle.errors import ExportError, UsageError
from portproof.bundle.manifest import Structure
from portproof.bundle.structure import Names, map_leaves
from portproof.sources.examples import complete_examples
from portproof.sources.functions import concrete_of, is_concrete, named, signature_of, traces
from portproof.sources.source import Source


def from_module(
    name: str,
    module: Any,
    examples: Any = None,
    signatures: Mapping[str, Any] | None = None,
) -> Source:
    """A Source of a `tf.Module`: its declared or traced functions, or those of `signatures`.

    Raises ExportError where a function has no signature or several, saying how to declare one.
    """
    functions = dict(signatures or functions_of(module))
    if not functions:
        raise ExportError(
            f"{type(module).__name__} has no tf.function, and a SavedModel holds only those. "
            "Decorate a method with @tf.function(input_signature=[tf.TensorSpec(...)])."
        )
    for key, function in functions.items():
        _check_declared(f"{type(module).__name__}.{key}", function)
    flat = {key: _flat(key, function) for key, function in functions.items()}
    functions = {key: function for key, (function, _) in flat.items()}
    structures = {key: structure for key, (_, structure) in flat.items() if structure}
    inputs, generated = complete_examples(functions, examples)
    return Source(
        name, module, functions, inputs, structures=structures, generated_inputs=generated
    )


def functions_of(module: Any) -> dict[str, Any]:
    """The module's own tf.functions, by attribute name.

    Methods, and what is kept as an attribute of the object, which SavedModel keeps too. Of those,
    helpers that have no signature are no concern of an export.
    """
    kind = type(tf.function(lambda: None))
    methods = [name for name in dir(module) if isinstance(getattr(type(module), name, None), kind)]
    kept = [
        name
        for name, value in vars(module).items()
        if isinstance(value, kind) and (value.input_signature is not None or traces(value))
    ]
    return {name: getattr(module, name) for name in sorted({*methods, *kept})}


def from_saved_model(
    name: str, loaded: Any, examples: Any = None, only: tuple[str, ...] = ()
) -> Source:
    """A Source of a loaded SavedModel: every signature that a bundle can carry, or those of `only`.

    Raises ExportError where it can carry none, or not all of `only`.
    """
    signatures = dict(loaded.signatures)
    if not signatures:
        raise ExportError(
            f"{name} has no signature. Save it with tf.saved_model.save(model, path, "
            "signatures=...), or with model.export(path) in Keras."
        )
    if unknown := sorted(set(only) - set(signatures)):
        raise UsageError(
            f"{name} has no signature {', '.join(unknown)}: they are {', '.join(signatures)}."
        )
    carried: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    for key in only or signatures:
        try:
            signature_of(key, signatures[key])
            carried[key] = signatures[key]
        except ExportError as error:
            if only:
                raise
            reasons[key] = str(error).removeprefix(f"{key}: ")
    if not carried:
        raise ExportError("; ".join(f"{key}: {reason}" for key, reason in reasons.items()))
    inputs, generated = complete_examples(carried, examples)
    return Source(
        name, loaded, carried, inputs, generated_inputs=generated, left_out_signatures=reasons
    )


def _check_declared(name: str, function: Any) -> None:
    if is_concrete(function):
        return
    traced = traces(function)
    if function.input_signature is None and len(traced) != 1:
        state = "was never traced" if not traced else f"was traced for {len(traced)} signatures"
        raise ExportError(
            f"{name} declares no signature and {state}. A SavedModel holds only signatures that "
            "were declared or traced, and Portproof exports one for each function: declare it "
            "with @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name='x')])."
        )


def _flat(name: str, function: Any) -> tuple[Any, Structure | None]:
    """The function with flat inputs and outputs by TensorFlow's names, and their nesting."""
    concrete = concrete_of(function)
    args, kwargs = concrete.structured_input_signature
    outputs = concrete.structured_outputs
    if not any(_is_nested(value) for value in (*args, *kwargs.values(), *_parts(outputs))):
        return function, None
    leaves = tf.nest.flatten((args, kwargs))
    if not all(isinstance(spec, tf.TensorSpec) for spec in leaves):
        return function, None  # which `signature_of` refuses, with the reason

    def flat(**inputs: Any) -> dict[str, Any]:
        nested = tf.nest.map_structure(lambda spec: inputs[spec.name], (args, kwargs))
        return _named(name, function(*nested[0], **nested[1]))

    flat_function = tf.function(flat, autograph=False)
    flat_function.get_concrete_function(**{spec.name: spec for spec in leaves})
    parameters = [*concrete.function_type.parameters]
    inputs = {**dict(zip(parameters, args, strict=False)), **kwargs}
    return flat_function, Structure(
        inputs=map_leaves(lambda spec: str(spec.name), inputs), outputs=_output_names(outputs)
    )


def _named(name: str, outputs: Any) -> dict[str, Any]:
    try:
        return named(outputs)
    except ValueError as error:
        raise ExportError(f"{name}: {error}. Rename one of its outputs.") from None


def _output_names(outputs: Any) -> Names:
    names = {id(leaf): name for name, leaf in named(outputs).items()}
    return map_leaves(lambda leaf: names[id(leaf)], outputs)


def _is_nested(value: Any) -> bool:
    return isinstance(value, Mapping | list | tuple)


def _parts(outputs: Any) -> list[Any]:
    if isinstance(outputs, Mapping):
        return list(outputs.values())
    return list(outputs) if isinstance(outputs, list | tuple) else []
