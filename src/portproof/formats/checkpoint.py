"""Checkpoint: the weights alone, by `tf.train.Checkpoint`."""

from pathlib import Path

import tensorflow as tf

from portproof.formats.format import Written
from portproof.formats.savedmodel import with_same_names
from portproof.sources.source import Source
from portproof.sources.tracking import trackable


def write(source: Source, root: Path, folder: str) -> Written:
    """Write `root/checkpoint/variables.*`, as `tf.train.Checkpoint(model=model).write` does."""
    path = f"{folder}/variables"
    tf.train.Checkpoint(model=trackable(source.model)).write(str(root / path))
    return Written({name: with_same_names(path, source, name) for name in source.functions})
