"""What a training leaves on disk, and from what it resumes."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from safetensors.numpy import load_file, save_file

from export.data import Arrays
from portproof import UsageError

LOG_EVERY = 10  # epochs
Log = Callable[[str], None]
_FINISHED = "history.safetensors"


class Training:
    """A training's checkpoint: the model, the optimizer if any, the epoch and the losses so far.

    Saved by `tf.train.CheckpointManager`, which replaces the last one only when the new is whole.
    """

    def __init__(self, folder: Path, seed: int, epochs: int, resume: bool, **tracked: Any) -> None:
        self.folder = folder
        self.epoch = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.seed = tf.Variable(seed, dtype=tf.int64, trainable=False)
        self.losses = tf.Variable(tf.zeros([0]), shape=[None], trainable=False)
        self._checkpoint = tf.train.Checkpoint(
            epoch=self.epoch, seed=self.seed, losses=self.losses, **tracked
        )
        self._manager = tf.train.CheckpointManager(self._checkpoint, str(folder), max_to_keep=1)
        if resume:
            self._resume(seed, epochs)
        else:
            # Otherwise a training that fails early would leave another one's state behind.
            if folder.is_dir() and any(folder.iterdir()) and not _is_training(folder):
                raise UsageError(f"{folder} holds something else than a training: name another.")
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)

    def _resume(self, seed: int, epochs: int) -> None:
        if not self._manager.latest_checkpoint:
            raise UsageError(f"{self.folder} holds no training to resume. Train without --resume.")
        self._checkpoint.restore(self._manager.latest_checkpoint).assert_existing_objects_matched()
        if int(self.seed) != seed:
            raise UsageError(
                f"the training in {self.folder} has seed {int(self.seed)}, not {seed}. "
                f"Resume with --seed {int(self.seed)}."
            )
        if int(self.epoch) > epochs:
            raise UsageError(f"the training in {self.folder} is past epoch {epochs} already.")

    def record(self, epoch: int, loss: float, log: Log) -> None:
        """Note the loss after an epoch (counted from 0); every tenth is shown and saved."""
        self.epoch.assign(epoch + 1)
        self.losses.assign(tf.concat([self.losses, [loss]], axis=0))
        if epoch % LOG_EVERY == 0:
            log(f"Mean squared error for step {epoch}: {loss:.3f}")
            self.save()

    def save(self) -> None:
        self._manager.save(int(self.epoch))

    def finish(self, history: Arrays) -> None:
        """Save the last epoch, then what the plots show: their presence says that it is done."""
        self.save()
        losses = np.asarray(self.losses)
        save_file({**history, "losses": losses}, self.folder / _FINISHED)


def trained(folder: Path, model: Any) -> Arrays:
    """Restore a finished training's weights into `model`, and return its history.

    Raises UsageError where there is no finished training.
    """
    if not (folder / _FINISHED).is_file() or not (folder / "checkpoint").is_file():
        raise UsageError(
            f"{folder} holds no finished training: python -m export.train {folder.name}."
        )
    # The checkpoint holds the optimizer and the epoch too; all of the model must be found in it.
    status = tf.train.Checkpoint(model=model).restore(tf.train.latest_checkpoint(str(folder)))
    status.assert_existing_objects_matched().expect_partial()
    return dict(load_file(folder / _FINISHED))


def _is_training(folder: Path) -> bool:
    return (folder / "checkpoint").is_file() or (folder / _FINISHED).is_file()
