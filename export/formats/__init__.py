"""The table of formats. A new format is one file beside this one and a row here."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bundle.manifest import Endpoint
from export.formats import checkpoint, keras, savedmodel, tfjs_graph, tfjs_layers, tflite
from export.source import Source

Write = Callable[[Source, Path], dict[str, Endpoint]]


@dataclass(frozen=True)
class Format:
    """`write(source, root)` puts the artifact into `root/NAME` and says where its signatures are.

    `of_keras` formats need a Keras form, and are left out where the source states none; an
    `optional` one is left out too where it cannot carry the model.
    Formats are written in the order of the table; those after
    `savedmodel` may read `root/savedmodel`.
    """

    name: str
    write: Write
    graph: str | None = None
    of_keras: bool = False
    optional: bool = False


FORMATS = (
    Format("savedmodel", savedmodel.write),
    Format("checkpoint", checkpoint.write, graph=savedmodel.FOLDER),
    Format("keras", keras.write, of_keras=True),
    Format("tflite", tflite.write),
    Format("tfjs-graph", tfjs_graph.write),
    Format("tfjs-layers", tfjs_layers.write, of_keras=True, optional=True),
)
