"""SavedModel: the graph, its signatures and its weights. TFLite and TF.js are made from it."""

from pathlib import Path

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from portproof.bundle.manifest import Endpoint
from portproof.formats import canonical_graph
from portproof.formats.format import Written
from portproof.sources.source import SavedSource, Source
from portproof.sources.tracking import trackable


def write(source: Source, root: Path, folder: str) -> Written:
    """Write `root/savedmodel`. Its SignatureDef has the source's own names."""
    path = root / folder
    concrete = {name: source.concrete(name) for name in source.functions}
    tf.saved_model.save(trackable(source.model), str(path), signatures=concrete)
    canonical_graph.rewrite(path)
    saved = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    definitions = saved.meta_graphs[0].signature_def
    endpoints = {}
    for name in source.functions:
        feeds, fetches = (
            {key: info.name for key, info in sorted(infos.items())}
            for infos in (definitions[name].inputs, definitions[name].outputs)
        )
        update = {"feeds": feeds, "fetches": fetches}
        endpoints[name] = with_same_names(folder, source, name).model_copy(update=update)
    return Written(endpoints)


def with_same_names(path: str, source: Source | SavedSource, signature: str) -> Endpoint:
    """An endpoint whose names are the signature's own."""
    names = source.signatures[signature]
    return Endpoint(
        path=path,
        inputs={name: name for name in names.inputs},
        outputs={name: name for name in names.outputs},
    )
