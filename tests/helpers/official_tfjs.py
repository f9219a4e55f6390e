"""The official TF.js converter, with which our graph models are compared.

tensorflowjs 4.22 imports `tensorflow_decision_forests`, `tensorflow_hub` and
`jax.experimental.jax2tf` at the top of its modules, and uses them only to convert decision forests,
TF-Hub modules and JAX functions. Installed with them, it holds TensorFlow back at 2.19 and takes
2.7 GB. pyproject.toml keeps them out, and here empty modules stand in for them during that one
import. They must not stay: Keras looks for `jax` and breaks on the stand-in, which is also why
Keras is imported first.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import keras  # noqa: F401  first: see above
import tensorflow as tf

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


def convert(saved_model: Path, signature: str, folder: Path) -> None:
    """Convert a signature of a SavedModel, as `tensorflowjs_converter` does by default."""
    with _stand_ins():
        from tensorflowjs.converters import tf_saved_model_conversion_v2 as converter

    untyped: Any = converter
    untyped.convert_tf_saved_model(str(saved_model), str(folder), signature_def=signature)
    assert (folder / "model.json").is_file()


def official_ops() -> set[str]:
    """The operations in the converter's op lists, but those of decision forests."""
    import json

    [folder] = (Path(p) for p in _package().__path__)
    lists = [p for p in (folder / "op_list").glob("*.json") if p.stem != "tfdf"]
    return {entry["tfOpName"] for path in lists for entry in json.loads(path.read_text())}


def _package() -> Any:
    with _stand_ins():
        import tensorflowjs
    return tensorflowjs


__all__ = ["convert", "official_ops", "tf"]
