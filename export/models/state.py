"""What a training leaves on disk, and what it resumes from."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from bundle import tensors
from bundle.errors import UsageError
from bundle.tensors import Arrays

LOG_EVERY = 10  # epochs
EPOCHS = 150
Log = Callable[[str], None]
_FINISHED = "history.safetensors"


class State:
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
            if folder.is_dir() and any(folder.iterdir()) and not self._is_training(folder):
                raise UsageError(f"{folder} holds something else than a training: name another.")
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)

    @staticmethod
    def is_finished(folder: Path) -> bool:
        """Whether the training in `folder` reached its last epoch."""
        return (folder / _FINISHED).is_file() and (folder / "checkpoint").is_file()

    @staticmethod
    def _is_training(folder: Path) -> bool:
        return (folder / "checkpoint").is_file() or (folder / _FINISHED).is_file()

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
        tensors.write(self.folder / _FINISHED, {**history, "losses": losses})


def restore(folder: Path, model: Any) -> Arrays:
    """Restore a finished training's weights into `model`, and return its history."""
    if not State.is_finished(folder):
        raise UsageError(f"{folder} holds no finished training: `portproof train {folder.name}`.")
    # The checkpoint holds the optimizer and the epoch too; all of the model must be found in it.
    status = tf.train.Checkpoint(model=model).restore(tf.train.latest_checkpoint(str(folder)))
    status.assert_existing_objects_matched().expect_partial()
    return tensors.read(folder / _FINISHED)
