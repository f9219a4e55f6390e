"""The one place that imports the `tensorflowjs` converter.

tensorflowjs 4.22 imports `tensorflow_decision_forests`, `tensorflow_hub` and
`jax.experimental.jax2tf` at the top of its modules, and uses them only to convert decision
forests, TF-Hub modules and JAX functions, none of which comes through here. Installed with them,
it holds TensorFlow back at 2.19 and takes 2.7 GB. pyproject.toml keeps them out, and here they are
stand-ins in `sys.modules` for the length of that one import. They must not stay: Keras probes for
`jax` and breaks on the stand-in, which is also why Keras is imported first.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import keras  # noqa: F401  first: see above
import tensorflow as tf
from google.protobuf.json_format import MessageToDict

from export.rewrites.fused import unfused

_UNUSED = (
    "tensorflow_decision_forests",
    "tensorflow_hub",
    "jax",
    "jax.experimental",
    "jax.experimental.jax2tf",
)


@contextmanager
def _stand_ins() -> Iterator[None]:
    """Empty modules under the unused names; those that are really imported stay as they are."""
    added = [name for name in _UNUSED if name not in sys.modules]
    try:
        for name in added:
            module = sys.modules[name] = ModuleType(name)
            parent, _, child = name.rpartition(".")
            if parent in added:
                setattr(sys.modules[parent], child, module)
        yield
    finally:
        for name in added:
            del sys.modules[name]


with _stand_ins():
    from tensorflowjs import write_weights as _weights
    from tensorflowjs.converters import tf_saved_model_conversion_v2 as _converter


def _fuse_prelu_where_alone(graph: Any) -> Any:
    """The converter's fusing of a PReLU into the product before it, where nothing else takes that.

    Unguarded (converters/fuse_prelu.py), every other reader of the product gets the PReLU of it.
    """
    readers = Counter(ref.lstrip("^").split(":")[0] for node in graph.node for ref in node.input)
    for node in graph.node:
        if node.op == "Prelu" and readers[node.input[0].split(":")[0]] > 1:
            node.op = _SHARED
    made = _fuse_prelu(graph)
    for node in made.node:
        if node.op == _SHARED:
            node.op = "Prelu"
    return made


_SHARED = "PreluOfSharedProduct"
_fuse_prelu = _converter.fuse_prelu.fuse_prelu_with_fused_conv2d_or_matmul
_converter.fuse_prelu.fuse_prelu_with_fused_conv2d_or_matmul = _fuse_prelu_where_alone


def write_graph_model(graph: Any, signature: Any, folder: Path) -> None:
    """Write a frozen GraphDef as a TF.js graph model, with the names of a SignatureDef.

    Raises ValueError where TF.js does not have one of its ops.
    """
    converter = cast(Any, _converter)
    imported = tf.Graph()
    with imported.as_default():
        tf.graph_util.import_graph_def(graph, name="")
    converter.define_transform_graph_func()
    optimized = unfused(converter.optimize_graph(imported, signature))
    weights = converter.extract_weights(optimized)  # which takes them out of the graph
    converter.write_artifacts(
        MessageToDict(optimized),
        weights,
        str(folder / "model.json"),
        tf.__version__,
        signature,
    )


def write_weights(groups: list[list[dict[str, Any]]], folder: str) -> Any:
    """Write weights ({"name", "data"}) as shards of 4 MiB; returns the `weightsManifest`."""
    return cast(ModuleType, _weights).write_weights(groups, folder, write_manifest=False)
