"""Starts TensorFlow, whose C++ side is kept from writing to standard error, unless it matters."""

import json
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from portproof.bundle.errors import UsageError

# Variables of a process that computes with TensorFlow beside a person's own: it gets no GPU, of
# which TensorFlow takes all the memory that there is.
BESIDE = {"CUDA_VISIBLE_DEVICES": "-1", "KERAS_BACKEND": "tensorflow"}
_OLDEST = (2, 16)  # as pyproject.toml's extra `tensorflow` has it


@contextmanager
def quiet(*, show_on_error: bool = True) -> Iterator[None]:
    """Hold back the process's standard error; where the block raises, write it out.

    Python's own redirection cannot reach it: it is written to the file descriptor, before any
    logger is set up and whatever the log level.

    Args:
        show_on_error: False for code whose exception says all of it too.
    """
    sys.stderr.flush()
    original = os.dup(2)
    with tempfile.TemporaryFile() as held_back:
        os.dup2(held_back.fileno(), 2)
        try:
            yield
        except BaseException:
            if show_on_error:
                held_back.seek(0)
                os.write(original, held_back.read())
            raise
        finally:
            os.dup2(original, 2)
            os.close(original)


@contextmanager
def without_tensorflows_log() -> Iterator[None]:
    """Hold TensorFlow's own logger to errors.

    In a notebook and at Python's prompt it tells each file that is written, twice
    (tensorflow/python/platform/tf_logging.py).
    """
    logger = logging.getLogger("tensorflow")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def check_tensorflow() -> None:
    """Raise UsageError where what exports a model is not installed, or too old.

    Nothing is imported: that takes seconds.
    """
    lacking = [name for name in ("tensorflow", "keras", "ai_edge_litert") if not find_spec(name)]
    if lacking:
        raise UsageError(
            f"exporting a model needs {' and '.join(lacking)}: pip install 'portproof[tensorflow]'"
        )
    with suppress(PackageNotFoundError):  # some builds have another name, and import as this one
        installed = version("tensorflow")
        if tuple(map(int, installed.split(".")[:2])) < _OLDEST:
            raise UsageError(
                f"exporting was tried with TensorFlow {_OLDEST[0]}.{_OLDEST[1]} and newer, and "
                f"{installed} is here: pip install 'portproof[tensorflow]'"
            )


def keras_backend() -> str:
    """What Keras computes with in this process, or would. Nothing is imported.

    As keras/src/backend/config.py finds it: the variable KERAS_BACKEND, else the file keras.json.
    """
    home = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser()
    configured = ""
    with suppress(OSError, ValueError, AttributeError):  # Keras passes over a file that is broken
        configured = str(json.loads((home / "keras.json").read_text()).get("backend", ""))
    return os.environ.get("KERAS_BACKEND") or configured or "tensorflow"


def start_tensorflow() -> None:
    """Import Keras and TensorFlow and look for devices, without the usual messages.

    TensorFlow says at every start that oneDNN is on and that no GPU was found, and no log level
    silences it. A script that calls this first, instead of importing TensorFlow, prints its own
    lines alone. What goes wrong is shown in full.

    Raises:
        UsageError: TensorFlow, Keras or LiteRT is not installed, or TensorFlow is too old.
    """
    check_tensorflow()
    # Its warnings are of its own making: a line for each node that its optimizer cannot cost.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with quiet():
        import keras
        import tensorflow as tf

        if keras.backend.backend() != "tensorflow":  # which needs the memory that it would take
            with suppress(RuntimeError):  # it has started already
                tf.config.set_visible_devices([], "GPU")
        tf.config.list_logical_devices()
