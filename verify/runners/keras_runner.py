"""Runs `.keras` files, loaded in safe mode, on the backend that KERAS_BACKEND names."""

from collections.abc import Mapping

from bundle.tensors import Arrays
from verify.runners.loop import Infer, Request, serve


def load(request: Request) -> Infer:
    """Load a `.keras` file with nothing but Keras."""
    import keras

    model = keras.saving.load_model(request["artifact"], compile=False, safe_mode=True)
    layers = [t._keras_history.operation.name for t in keras.tree.flatten(model.outputs)]

    if len(set(layers)) < len(layers):
        raise ValueError(f"several outputs of one layer have no names of their own: {layers}")

    def infer(inputs: Arrays) -> Arrays:
        given, wanted = set(inputs), {tensor.name for tensor in model.inputs}
        if given != wanted:
            raise ValueError(f"the inputs are named {sorted(wanted)}, not {sorted(given)}")
        feed = dict(inputs) if len(inputs) > 1 else next(iter(inputs.values()))
        outputs = model(feed, training=False)
        if not isinstance(outputs, Mapping):
            outputs = dict(zip(layers, keras.tree.flatten(outputs), strict=True))
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
