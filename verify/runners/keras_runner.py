"""Runs `.keras` files in Keras, loaded in safe mode."""

import os
from collections.abc import Mapping

from bundle.tensors import Arrays
from verify.runners.loop import Infer, Request, serve


def main() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras

    def load(request: Request) -> Infer:
        model = keras.saving.load_model(request["artifact"], compile=False, safe_mode=True)
        layers = [t._keras_history.operation.name for t in keras.tree.flatten(model.outputs)]

        def infer(inputs: Arrays) -> Arrays:
            given, wanted = set(inputs), {tensor.name for tensor in model.inputs}
            if given != wanted:
                raise ValueError(f"the inputs are named {sorted(wanted)}, not {sorted(given)}")
            feed = dict(inputs) if len(inputs) > 1 else next(iter(inputs.values()))
            outputs = model(feed, training=False)
            if not isinstance(outputs, Mapping):
                outputs = dict(zip(layers, keras.tree.flatten(outputs), strict=True))
            return {n: keras.ops.convert_to_numpy(tensor) for n, tensor in outputs.items()}

        return infer

    serve({"keras": keras.__version__}, load, keras.backend.backend)


if __name__ == "__main__":
    main()
