"""The layers and options that Keras's own tests run, taken from the tests in its wheel.

Each test that calls `TestCase.run_layer_test` is run with a recorder in its place, so nothing is
computed and no configuration is typed here by hand.
"""

import ast
import contextlib
import importlib
import io
import sys
import types
import unittest
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
import numpy as np

RECORDED = "run_layer_test"
_BESIDE_KERAS = ("conftest", "grain")


@dataclass(frozen=True)
class Configuration:
    """One call of `run_layer_test`.

    Attributes:
        name: Of the layer, the test and the number of the call in it; a file's name.
        layer: The layer's class.
        options: The arguments that it is made with.
        shapes: The shape of its input, or several, nested as the layer takes them; None where
            `data` gives it.
        dtypes: The dtypes in the same structure; None: float32.
        data: The test's own inputs, if it has any.
        call: More arguments of the layer's call.
        skip: Why it makes no model to export; empty where it does.
    """

    name: str
    layer: Any
    options: dict[str, Any]
    shapes: Any = None
    dtypes: Any = None
    data: Any = None
    call: dict[str, Any] = field(default_factory=dict)
    skip: str = ""


def harvest() -> dict[str, Configuration]:
    """Every configuration by its name, in the order of files and tests."""
    found: dict[str, Configuration] = {}
    for path in sorted(_tests_folder().rglob("*_test.py")):
        for configuration in _of_module(path):
            found[configuration.name] = configuration
    return found


def _tests_folder() -> Path:
    [folder] = importlib.import_module("keras.src.layers").__path__
    return Path(folder)


def _of_module(path: Path) -> Iterator[Configuration]:
    recording = _tests_that_record(path)
    if not recording:
        return
    root = _tests_folder().parents[2]
    name = ".".join(path.relative_to(root).with_suffix("").parts)
    with warnings.catch_warnings(), _stand_ins():
        warnings.simplefilter("ignore")
        module = importlib.import_module(name)
        for case in _cases(module):
            # A parameterized test has the name in the file, and more behind it.
            if any(case._testMethodName.startswith(known) for known in recording):
                yield from _recorded(path.stem.removesuffix("_test"), case)


class _StandIn(types.ModuleType):
    """A module that only tests import, and of which a recorded call uses nothing but decorators."""

    __path__: list[str] = []  # noqa: RUF012  # so that it has submodules

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: lambda test: test


@contextlib.contextmanager
def _stand_ins() -> Iterator[None]:
    """The packages that Keras's tests import beside Keras, where they are not installed."""
    missing = [name for name in _BESIDE_KERAS if find_spec(name.split(".")[0]) is None]
    sys.modules.update({name: _StandIn(name) for name in missing})
    try:
        yield
    finally:
        for name in missing:
            del sys.modules[name]


def _tests_that_record(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and RECORDED in ast.dump(node)
    }


def _cases(module: Any) -> Iterator[Any]:
    def flat(suite: Any) -> Iterator[Any]:
        for item in suite:
            if isinstance(item, unittest.TestSuite):
                yield from flat(item)
            else:
                yield item

    yield from flat(unittest.defaultTestLoader.loadTestsFromModule(module))


def _recorded(file: str, case: Any) -> list[Configuration]:
    """What one test asks for. What else it asserts may fail: nothing was computed."""
    calls: list[Configuration] = []

    def record(layer_cls: Any, init_kwargs: Any = None, *args: Any, **kwargs: Any) -> None:
        names = ("input_shape", "input_dtype", "input_sparse", "input_ragged", "input_data")
        kwargs |= dict(zip(names, args, strict=False))
        name = f"{file}-{case._testMethodName.removeprefix('test_')}-{len(calls)}"
        calls.append(_configuration(_file_name(name), layer_cls, init_kwargs or {}, kwargs))

    setattr(case, RECORDED, record)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        case.run(unittest.TestResult())
    return calls


def _file_name(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in name)[:80]


def _configuration(
    name: str, layer: Any, options: dict[str, Any], kwargs: dict[str, Any]
) -> Configuration:
    call = dict(kwargs.get("call_kwargs") or {})
    return Configuration(
        name,
        layer,
        options,
        shapes=kwargs.get("input_shape"),
        dtypes=kwargs.get("input_dtype"),
        data=kwargs.get("input_data"),
        call=call,
        skip=_why_skipped(layer, kwargs, call),
    )


def _why_skipped(layer: Any, kwargs: dict[str, Any], call: dict[str, Any]) -> str:
    if getattr(layer, "__module__", "").endswith("_test"):
        return "is a layer of the test's own, which no file carries"
    if kwargs.get("input_sparse"):
        return "takes a sparse tensor"
    if kwargs.get("input_ragged"):
        return "takes a ragged tensor"
    if call.get("training"):
        return "computes as in training"
    if any(not isinstance(value, bool | int | float | type(None)) for value in call.values()):
        return "its call takes a tensor that is no input"
    dtypes = keras.tree.flatten(kwargs.get("input_dtype"))
    data = keras.tree.flatten(kwargs.get("input_data"))
    if "string" in dtypes or any(
        np.asarray(array).dtype.kind in "US" for array in data if _plain(array)
    ):
        return "takes strings"
    if kwargs.get("input_shape") is None and kwargs.get("input_data") is None:
        return "has no inputs"
    return ""


def _plain(value: Any) -> bool:
    return isinstance(value, str | list | tuple | np.ndarray)
