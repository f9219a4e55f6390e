"""Checkpoint: the weights alone, by `tf.train.Checkpoint`."""

from pathlib import Path

import tensorflow as tf

from bundle.manifest import Endpoint
from export.formats.savedmodel import trackable, unchanged
from export.source import Source


def write(source: Source, root: Path) -> dict[str, Endpoint]:
    """Write `root/checkpoint/variables.*`, as `tf.train.Checkpoint(model=model).write` does."""
    path = "checkpoint/variables"
    tf.train.Checkpoint(model=trackable(source.model)).write(str(root / path))
    return {name: unchanged(path, source, name) for name in source.functions}
