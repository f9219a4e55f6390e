"""Runs SavedModels, and checkpoints restored into their SavedModel's graph, in TensorFlow."""

import os
from typing import Any

from bundle.tensors import Arrays
from verify.runners.loop import Infer, Request, serve


def main() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    def load(request: Request) -> Infer:
        checkpoint = request["format"] == "checkpoint"
        path = request["graph"] if checkpoint else request["artifact"]
        module = tf.saved_model.load(path)
        if checkpoint:
            _restore(module, request["artifact"])
        function = module.signatures[request["signature"]]

        def infer(inputs: Arrays) -> Arrays:
            outputs = function(**{name: tf.constant(a) for name, a in inputs.items()})
            return {name: tensor.numpy() for name, tensor in outputs.items()}

        # The signature's function does not keep the module, and its variables, alive.
        infer.module = module  # type: ignore[attr-defined]
        return infer

    def _restore(module: Any, path: str) -> None:
        """Put the checkpoint's weights into the graph, and see that it had them all."""
        status = tf.train.Checkpoint(model=module).read(path)
        status.assert_existing_objects_matched()
        stored = set(tf.train.load_checkpoint(path).get_variable_to_shape_map())
        stored.discard("_CHECKPOINTABLE_OBJECT_GRAPH")
        variables = {v.ref() for s in module.signatures.values() for v in s.graph.variables}
        if len(stored) < len(variables):
            raise ValueError(f"the graph has {len(variables)} variables, the checkpoint {stored}")

    serve({"tensorflow": tf.__version__}, load)


if __name__ == "__main__":
    main()
