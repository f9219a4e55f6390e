"""Runs in TensorFlow: SavedModels, checkpoints in their SavedModel's graph, and `.keras` files.

One process for all three: importing TensorFlow takes longer than most of what it then does.
"""

import os
from typing import Any

from portproof.bundle.tensors import Arrays, Infer
from portproof.runtimes.protocol import Request
from portproof.runtimes.python import keras_runner
from portproof.runtimes.python.inspection import Inspector
from portproof.runtimes.python.loop import serve


def main() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras
    import tensorflow as tf

    inspector = Inspector(load_function)

    def load(request: Request) -> Infer:
        if request.format == "keras":
            return keras_runner.load(request)
        if request.inspect:
            return inspector.infer(request)
        return load_graph(request)

    serve({"tensorflow": tf.__version__, "keras": keras.__version__}, load, lambda: "tensorflow")


def load_function(request: Request) -> tuple[Any, Any]:
    """A SavedModel, with a checkpoint's weights in its graph or its own; and its signature.

    The signature's function does not keep the module, and its variables, alive.
    """
    import tensorflow as tf

    if request.format != "checkpoint":
        module = tf.saved_model.load(request.artifact)
    else:
        module = tf.saved_model.load(request.graph)
        _restore(module, request.artifact)
    return module, module.signatures[request.signature]


def load_graph(request: Request) -> Infer:
    """A signature, to be called as it is."""
    import tensorflow as tf

    module, function = load_function(request)

    def infer(inputs: Arrays) -> Arrays:
        outputs = function(**{name: tf.constant(a) for name, a in inputs.items()})
        return {name: tensor.numpy() for name, tensor in outputs.items()}

    infer.module = module  # type: ignore[attr-defined]  # keeps its variables alive
    return infer


def _restore(module: Any, path: str) -> None:
    """Put a checkpoint's weights into a loaded SavedModel, and check that each came from there."""
    import tensorflow as tf

    variables = {v.ref(): v for s in module.signatures.values() for v in s.graph.variables}
    stored = set(tf.train.load_checkpoint(path).get_variable_to_shape_map())
    stored.discard("_CHECKPOINTABLE_OBJECT_GRAPH")
    if len(stored) < len(variables):
        names = ", ".join(sorted(stored))
        raise ValueError(f"the graph has {len(variables)} variables, the checkpoint only {names}")
    # A variable that the checkpoint does not reach must not pass with the SavedModel's value.
    for variable in variables.values():
        variable.assign(tf.zeros_like(variable))
    tf.train.Checkpoint(model=module).read(path).assert_existing_objects_matched()


if __name__ == "__main__":
    main()
