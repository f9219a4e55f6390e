"""One training step as a signature, for the format that can be trained further where it runs.

The step is a function of its inputs alone, so it has vectors, a reference and a float64 oracle
like any other signature. For a Keras form with inputs X and outputs Y:

    loss = sum over Y of mean((Y(X, training=True) - target_Y)^2) + the layers' own penalties
    weight/W = constraint(W - LEARNING_RATE * d loss / d W)      for each trainable weight W
"""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from portproof.bundle.manifest import TRAINING_STEP
from portproof.bundle.signature import Signature
from portproof.sources.keras_models import keras_inputs, keras_outputs
from portproof.sources.source import Source
from portproof.vectors.computing import TestedFunction

LEARNING_RATE = 0.01  # as runtimes/js/layers_model.mjs has it

# A step's vectors hold every weight as result, oracle and rounding in each of five cases, and its
# gradient is evaluated in float64 some twenty times: gigabytes and an hour for a larger model.
MAX_WEIGHTS = 1_000_000


def train_step_name(signature: str) -> str:
    """The name of the training step of a signature's Keras form."""
    return signature + TRAINING_STEP


def why_untrainable(source: Source, signature: str, model: keras.Model) -> str:
    """Why there is no training step to prove; nothing where there is."""
    dtypes = [variable.dtype for variable in model.trainable_variables]
    outputs = [spec.dtype for spec in source.signatures[signature].outputs.values()]
    weights = sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
    if keras.backend.backend() != "tensorflow":
        return f"Keras computes with {keras.backend.backend()} here, and it is made on TensorFlow"
    if any("seed_generator" in variable.path for variable in model.variables):
        return "it draws random numbers (dropout, noise), which no two runtimes draw alike"
    if not dtypes:
        return "it has no weights to train"
    if not all(tf.as_dtype(dtype).is_floating for dtype in (*dtypes, *outputs)):
        return "it has integers, which have no gradient"
    if weights > MAX_WEIGHTS:
        return f"it has {weights:,} weights to train, and steps are proven up to {MAX_WEIGHTS:,}"
    return ""


def training_step(
    source: Source, signature: str, model: keras.Model, variables: Mapping[str, keras.Variable]
) -> TestedFunction:
    """The training step of a signature's Keras form.

    Args:
        source: The source that has the form.
        signature: The signature's name.
        model: The form.
        variables: The model's variables by the names that its outputs get: `weight/NAME`.
    """
    function = _step(source.signatures[signature], model, variables)
    examples = _with_targets(source, signature)
    return TestedFunction(train_step_name(signature), function, examples, training=True)


def _step(signature: Signature, model: keras.Model, variables: Mapping[str, keras.Variable]) -> Any:
    specs = {n: tf.TensorSpec(s.shape, s.dtype, name=n) for n, s in signature.inputs.items()}
    for name, spec in signature.outputs.items():
        specs[f"target_{name}"] = tf.TensorSpec(spec.shape, spec.dtype, name=f"target_{name}")
    names = {id(variable): name for name, variable in variables.items()}
    weight_names = [names[id(variable)] for variable in model.trainable_variables]

    def step(**inputs: Any) -> dict[str, Any]:
        nested = keras_inputs(model, {name: inputs[name] for name in signature.inputs})
        weights = [tf.convert_to_tensor(v.value) for v in model.trainable_variables]
        others = [tf.convert_to_tensor(v.value) for v in model.non_trainable_variables]
        with tf.GradientTape() as tape:
            tape.watch(weights)
            # Stateless, so that the step changes no moving average of the model itself.
            result, _, penalties = model.stateless_call(
                weights, others, nested, training=True, return_losses=True
            )
            outputs = keras_outputs(model, result)
            errors = [
                tf.square(outputs[name] - inputs[f"target_{name}"]) for name in signature.outputs
            ]
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
