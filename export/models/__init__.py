"""The table of built-in models. A new one is one file beside this one and a row here.

Each file has `train(folder, seed, epochs, resume, log)`, which leaves the trained model's state in
`folder`, and `source(folder)`, which makes a Source of that state.
"""

from importlib import import_module
from typing import Any

from bundle.errors import UsageError

MODELS = ("quadratic", "my_module", "quadratic_keras")


def check(name: str) -> None:
    """Raises UsageError where there is no built-in model of that name."""
    if name not in MODELS:
        raise UsageError(f"there is no built-in model {name!r}: they are {', '.join(MODELS)}.")


def load(name: str) -> Any:
    """The module of a built-in model. Raises UsageError where there is none of that name."""
    check(name)
    return import_module(f"export.models.{name}")
