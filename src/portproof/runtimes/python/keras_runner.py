"""Runs `.keras` files, loaded in safe mode, on the backend that KERAS_BACKEND names."""

from collections.abc import Mapping

from portproof.bundle.structure import flatten, output_names
from portproof.bundle.tensors import Arrays, Infer
from portproof.runtimes.protocol import Request
from portproof.runtimes.python.loop import serve


def load(request: Request) -> Infer:
    """Load a `.keras` file with nothing but Keras."""
    import keras

    try:
        model = keras.saving.load_model(request.artifact, compile=False, safe_mode=True)
    except TypeError as error:  # which shows the whole config of the model before its reason
        *_, reason = str(error).split("Exception encountered: ")
        raise ValueError(reason) from error
    names = output_names([t._keras_history.operation.name for t in model.outputs])
    input_names = [tensor._keras_history.operation.name for tensor in model.inputs]
    structure = getattr(model, "_inputs_struct", model.inputs[0])  # which has no public name

    def infer(inputs: Arrays) -> Arrays:
        if set(inputs) != set(input_names):
            raise ValueError(f"the inputs are named {sorted(input_names)}, not {sorted(inputs)}")
        ordered = [inputs[name] for name in input_names]
        result = model(keras.tree.pack_sequence_as(structure, ordered), training=False)
        if isinstance(result, Mapping):
            outputs = flatten(result)
        else:
            outputs = dict(zip(names, keras.tree.flatten(result), strict=True))
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
