"""Runs `.keras` files, loaded in safe mode, on the backend that KERAS_BACKEND names."""

from collections.abc import Mapping

from bundle.structure import flatten, layer_names
from bundle.tensors import Arrays
from verify.runners.loop import Infer, Request, serve


def load(request: Request) -> Infer:
    """Load a `.keras` file with nothing but Keras."""
    import keras

    model = keras.saving.load_model(request["artifact"], compile=False, safe_mode=True)
    layers = layer_names([t._keras_history.operation.name for t in model.outputs])
    names = [tensor._keras_history.operation.name for tensor in model.inputs]
    given_as = getattr(model, "_inputs_struct", model.inputs[0])  # which has no public name

    def infer(inputs: Arrays) -> Arrays:
        given, wanted = set(inputs), set(names)
        if given != wanted:
            raise ValueError(f"the inputs are named {sorted(wanted)}, not {sorted(given)}")
        ordered = [inputs[name] for name in names]
        made = model(keras.tree.pack_sequence_as(given_as, ordered), training=False)
        if isinstance(made, Mapping):
            outputs = flatten(made)
        else:
            outputs = dict(zip(layers, keras.tree.flatten(made), strict=True))
        return {name: keras.ops.convert_to_numpy(tensor) for name, tensor in outputs.items()}

    return infer


def main() -> None:
    from importlib.metadata import version

    import keras

    backend = keras.backend.backend()
    versions = {"keras": keras.__version__, backend: version(backend)}
    serve(versions, load, keras.backend.backend)


if __name__ == "__main__":
    main()
