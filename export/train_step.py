"""One training step as a signature, for the format that can be trained further where it runs.

The step is a function of its inputs alone, so it has vectors, a reference and a float64 oracle
like any other signature. For a Keras form with inputs X and outputs Y:

    loss = sum over Y of mean((Y(X, training=True) - target_Y)^2) + the layers' own penalties
    weight/W = constraint(W - LEARNING_RATE * d loss / d W)      for each trainable weight W
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bundle.errors import ExportError
from export.formats.tfjs_layers import named_variables
from export.keras_models import keras_feed, keras_outputs
from export.source import Source, train_step_name

LEARNING_RATE = 0.01  # as verify/runners/js/layers_model.mjs has it


# A step's vectors hold every weight as result, oracle and rounding in each of five cases, and its
# gradient is evaluated in float64 some twenty times: of a larger model, gigabytes and an hour.
MOST_WEIGHTS = 1_000_000


def with_training(source: Source) -> Source:
    """The source with a training step for each Keras form whose training has one result.

    Where a form has none, `untrained` says why.
    """
    training, untrained, examples = {}, {}, dict(source.examples)
    for signature, model in source.keras_forms.items():
        reason = _untrainable(source, signature, model)
        if reason:
            untrained[signature] = reason
            continue
        try:
            names = named_variables(model)
        except ExportError:  # what tfjs-layers cannot name it cannot train, and says so itself
            continue
        step = train_step_name(signature)
        training[step] = _step(source, signature, model, names)
        examples[step] = _with_targets(source, signature)
    return replace(source, training=training, untrained=untrained, examples=examples)


def _untrainable(source: Source, signature: str, model: keras.Model) -> str:
    """Why there is no training step to prove; nothing where there is."""
    dtypes = [variable.dtype for variable in model.trainable_variables]
    outputs = [spec.dtype for spec in source.signatures[signature].outputs.values()]
    weights = sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
    if any("seed_generator" in variable.path for variable in model.variables):
        return "it draws random numbers (dropout, noise), which no two runtimes draw alike"
    if not dtypes:
        return "it has no weights to train"
    if not all(tf.as_dtype(dtype).is_floating for dtype in (*dtypes, *outputs)):
        return "it has integers, which have no gradient"
    if weights > MOST_WEIGHTS:
        return f"it has {weights:,} weights to train, and steps are proven up to {MOST_WEIGHTS:,}"
    return ""


def _step(
    source: Source, signature: str, model: keras.Model, variables: dict[str, keras.Variable]
) -> Any:
    names = source.signatures[signature]
    specs = {n: tf.TensorSpec(s.shape, s.dtype, name=n) for n, s in names.inputs.items()}
    for name, spec in names.outputs.items():
        specs[f"target_{name}"] = tf.TensorSpec(spec.shape, spec.dtype, name=f"target_{name}")
    tfjs_names = {id(variable): n for n, variable in variables.items()}
    weight_names = [tfjs_names[id(variable)] for variable in model.trainable_variables]

    def step(**given: Any) -> dict[str, Any]:
        feed = keras_feed(model, {name: given[name] for name in names.inputs})
        weights = [tf.convert_to_tensor(v.value) for v in model.trainable_variables]
        rest = [tf.convert_to_tensor(v.value) for v in model.non_trainable_variables]
        with tf.GradientTape() as tape:
            tape.watch(weights)
            # Stateless, so that the step changes no moving average of the model itself.
            result, _, penalties = model.stateless_call(
                weights, rest, feed, training=True, return_losses=True
            )
            made = keras_outputs(model, result)
            errors = [tf.square(made[name] - given[f"target_{name}"]) for name in names.outputs]
            loss = tf.add_n([*map(tf.reduce_mean, errors), *penalties])
        gradients = tape.gradient(loss, weights)
        pairs = zip(weights, gradients, strict=True)
        updated = [w - LEARNING_RATE * tf.convert_to_tensor(gradient) for w, gradient in pairs]
        constrained = map(_constrained, model.trainable_variables, updated)
        named_weights = zip(weight_names, constrained, strict=True)
        return {"loss": loss, **{f"weight/{name}": weight for name, weight in named_weights}}

    function = tf.function(step, autograph=False)
    function.get_concrete_function(**specs)
    return function


def _constrained(variable: keras.Variable, value: Any) -> Any:
    return variable.constraint(value) if variable.constraint else value


def _with_targets(source: Source, signature: str) -> Mapping[str, np.ndarray[Any, Any]]:
    """The examples, with what the model gives for the row before as each row's target."""
    inputs = source.examples[signature]
    outputs = source.call(signature, inputs)
    return {**inputs, **{f"target_{n}": np.roll(a, 1, axis=0) for n, a in outputs.items()}}
