"""Checkpoint: the weights alone, by `tf.train.Checkpoint`."""

from pathlib import Path

import tensorflow as tf

from export.formats.format import Written
from export.formats.savedmodel import trackable, unchanged
from export.source import Source


def write(source: Source, root: Path, folder: str) -> Written:
    """Write `root/checkpoint/variables.*`, as `tf.train.Checkpoint(model=model).write` does."""
    path = f"{folder}/variables"
    tf.train.Checkpoint(model=trackable(source.model)).write(str(root / path))
    return Written({name: unchanged(path, source, name) for name in source.functions})
