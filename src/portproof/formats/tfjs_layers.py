"""TF.js layers model: the one form that can be trained further in a browser.

tensorflowjs_converter cannot write it from Keras 3: its files fail at load, or load other weights.
Here the topology is written as tfjs-layers 4.22 reads it, which is the form that Keras 2 wrote:
`batch_input_shape`, dtypes by name, inbound nodes as lists, weights named LAYER/WEIGHT. A layer is
written only if it is in `tfjs_layer_configs.LAYERS`; any other ends in an error that names it.
"""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import keras

from portproof.bundle.errors import ExportError
from portproof.bundle.manifest import Endpoint
from portproof.formats.format import Written
from portproof.formats.tfjs_graph import DTYPES
from portproof.formats.tfjs_layer_configs import RENAMED_WEIGHTS, layer_config
from portproof.formats.tfjs_weights import write_weights
from portproof.formats.training_steps import training_step, why_untrainable
from portproof.sources.keras_models import input_name, keras_output_structure, keras_outputs
from portproof.sources.source import Source
from portproof.vectors.computing import TestedFunction

# Keras layers that hold others and have no weights of their own.
_CONTAINERS = (keras.Sequential, keras.src.models.Functional)


def write(source: Source, root: Path, folder: str) -> Written:
    """Write `root/tfjs-layers/SIGNATURE/model.json` for each Keras form that the source states.

    Each that has weights to train also gets a signature for one training step.
    """
    endpoints, notes = {}, []
    steps: list[TestedFunction] = []
    for signature, model in source.keras_forms.items():
        path = f"{folder}/{quote(signature, safe='')}/model.json"
        _write_model(model, root / path)
        endpoints[signature] = _endpoint(source, signature, model, path)
        if reason := why_untrainable(source, signature, model):
            notes.append(f"no training step is proven: {reason}")
            continue
        step = training_step(source, signature, model, named_variables(model))
        endpoints[step.name] = _training_endpoint(step, endpoints[signature])
        steps.append(step)
    return Written(endpoints, tuple(dict.fromkeys(notes)), training_steps=tuple(steps))


def topology(model: keras.Model) -> dict[str, Any]:
    """`model_config` as tfjs-layers reads it. Raises ExportError for a layer that it lacks."""
    if isinstance(model, keras.Sequential):
        start = model.inputs[0]
        first = _input(input_name(start), list(start.shape), start.dtype)
        layers = [first, *(_layer(layer) for layer in model.layers)]
        return {"class_name": "Sequential", "config": {"name": model.name, "layers": layers}}
    if not isinstance(model, _CONTAINERS):
        raise ExportError(
            f"{model.name} is a subclass of keras.Model, and tfjs-layers reads Sequential and "
            "functional models alone. Build it with keras.Model(inputs, outputs)."
        )
    model = _plain(model)
    config = model.get_config()
    nodes = {layer["name"]: layer["inbound_nodes"] for layer in config["layers"]}
    layers = []
    for layer in model.operations:  # `layers` would leave out ops such as keras.ops.square
        entry = _layer(layer)
        entry["name"] = layer.name
        entry["inbound_nodes"] = [_inbound(layer, node) for node in nodes[layer.name]]
        layers.append(entry)
    return {
        "class_name": "Functional",
        "config": {
            "name": model.name,
            "layers": layers,
            "input_layers": _references(config["input_layers"]),
            "output_layers": _references(config["output_layers"]),
        },
    }


def _plain(model: keras.Model) -> keras.Model:
    """The model as a functional one, where a class of its own only keeps its own configuration."""
    functional = keras.src.models.Functional
    if type(model) in (keras.Model, functional):
        return model
    if type(model).call is not functional.call:
        raise ExportError(
            f"{model.name} is a {type(model).__name__} with a `call` of its own, which tfjs-layers "
            "does not know. Build it with keras.Model(inputs, outputs)."
        )
    return keras.Model(model._inputs_struct, model._outputs_struct, name=model.name)


def _layer(layer: keras.Layer) -> dict[str, Any]:
    if isinstance(layer, _CONTAINERS):
        return topology(layer)
    if getattr(layer, "lora_enabled", False) or getattr(layer, "quantization_mode", None):
        raise ExportError(
            f"layer {layer.name} ({type(layer).__name__}) keeps LoRA or quantised weights, which "
            "tfjs-layers does not know. Save the model with them merged into plain ones."
        )
    if isinstance(layer, keras.layers.InputLayer):
        if layer.dtype not in DTYPES:
            raise ExportError(
                f"input {layer.name} is {layer.dtype}, and TF.js has {', '.join(DTYPES)} alone. "
                "Give the Input such a dtype."
            )
        return _input(layer.name, list(layer.batch_shape), layer.dtype)
    return {"class_name": type(layer).__name__, "config": layer_config(layer)}


def _input(name: str, shape: list[int | None], dtype: str) -> dict[str, Any]:
    config = {"batch_input_shape": shape, "dtype": dtype, "sparse": False, "name": name}
    return {"class_name": "InputLayer", "config": config}


def _inbound(layer: keras.Layer, node: dict[str, Any]) -> list[Any]:
    """A node in the old form, [[layer, node index, tensor index, {}], ...], from Keras 3's."""
    options = {key: value for key, value in node["kwargs"].items() if value not in (None, False)}
    if options:
        raise ExportError(
            f"layer {layer.name} ({type(layer).__name__}) is called with {sorted(options)}, which "
            "tfjs-layers has no option for. Call it with its inputs alone."
        )
    return [[*history, {}] for history in _histories(node["args"])]


def _histories(value: Any) -> list[list[Any]]:
    """Every Keras tensor in a node's arguments, as [layer, node index, tensor index]."""
    if isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            return [value["config"]["keras_history"]]
        return [history for item in value.values() for history in _histories(item)]
    if isinstance(value, list | tuple):
        return [history for item in value for history in _histories(item)]
    return []


def _references(structure: Any) -> list[Any]:
    """Inputs or outputs as a list of [layer, node index, tensor index], whatever held them."""
    if isinstance(structure, dict):
        return [ref for key in sorted(structure) for ref in _references(structure[key])]
    if structure and isinstance(structure[0], str):
        return [list(structure)]
    return [ref for item in structure for ref in _references(item)]


def named_variables(model: keras.Model) -> dict[str, keras.Variable]:
    """Every weight under the name that tfjs-layers gives it."""
    variables: dict[str, keras.Variable] = {}
    for layer in _leaves(model):
        for variable in layer.variables:
            if "seed_generator" in variable.path:
                continue
            renamed = RENAMED_WEIGHTS.get((type(layer).__name__, variable.name), variable.name)
            name = f"{_scope(layer, variable)}/{renamed}"
            if name in variables:
                raise ExportError(
                    f"two layers are named {layer.name}, and tfjs-layers finds weights by layer "
                    "name. Give each layer a name of its own, in nested models too."
                )
            variables[name] = variable
    return variables


def _scope(layer: keras.Layer, variable: keras.Variable) -> str:
    """The layer's name; for a wrapper, with that of the layer it wraps around the weight."""
    if isinstance(layer, keras.layers.Bidirectional):
        name = layer.forward_layer.name
        if not any(variable is forward for forward in layer.forward_layer.variables):
            # Whatever the second layer is called: tfjs-layers makes it, and its name, of the first.
            name = f"backward_{name.removeprefix('forward_')}"
        return f"{layer.name}/{name}"
    return str(layer.name)


def _leaves(model: keras.Model) -> list[keras.Layer]:
    """The layers that hold weights, each once, nested models opened."""
    leaves: dict[int, keras.Layer] = {}
    for layer in model.layers:
        inner = _leaves(layer) if isinstance(layer, _CONTAINERS) else [layer]
        leaves |= {id(leaf): leaf for leaf in inner}
    return list(leaves.values())


def _write_model(model: keras.Model, path: Path) -> None:
    # Of all reasons at once: a person trains the model again for each.
    reasons = [
        f"{model.name} has an input or output of shape {tuple(tensor.shape)}, and tfjs-layers "
        "wants a dimension beside the batch. Use keras.Input((1,))."
        for tensor in [*model.inputs, *model.outputs]
        if len(tensor.shape) < 2
    ][:1]
    try:
        config = topology(model)
    except ExportError as error:
        reasons.append(str(error))
    if reasons:
        raise ExportError(" ".join(reasons))
    path.parent.mkdir(parents=True)
    weights = {name: variable.numpy() for name, variable in named_variables(model).items()}
    content = {
        "format": "layers-model",
        "generatedBy": f"keras v{keras.__version__}",
        "convertedBy": "Portproof",
        "modelTopology": {
            "keras_version": keras.__version__,
            "backend": "tensorflow",
            "model_config": config,
        },
        "weightsManifest": write_weights(weights, path.parent),
    }
    path.write_text(json.dumps(content, sort_keys=True))


def _endpoint(source: Source, signature: str, model: keras.Model, path: str) -> Endpoint:
    """tfjs-layers names inputs after their layers, and outputs after the layers that make them."""
    names = source.signatures[signature]
    structure = keras_output_structure(model)
    order = list(keras_outputs(model, structure))
    if isinstance(structure, dict):
        order = sorted(order)  # as `_references` and Keras flatten a dict
    layers = [t._keras_history.operation.name for t in keras.tree.flatten(model.outputs)]
    if len(set(layers)) < len(layers):
        raise ExportError(
            f"{model.name} has two outputs of one layer, {layers}: tfjs-layers has one."
        )
    return Endpoint(
        path=path,
        inputs={name: name for name in names.inputs},
        outputs=dict(zip(order, layers, strict=True)),
    )


def _training_endpoint(step: TestedFunction, inference: Endpoint) -> Endpoint:
    """The endpoint of one training step, which trains the model that `inference` runs."""
    names = step.signature
    targets = {f"target_{name}": f"target_{layer}" for name, layer in inference.outputs.items()}
    return Endpoint(
        path=inference.path,
        inputs={name: targets.get(name, name) for name in names.inputs},
        outputs={name: name for name in names.outputs},
    )
