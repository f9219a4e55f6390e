"""Starts a runner: python start.py RUNNER [ARGUMENT...].

An environment has the runtime and what our runners import, and not Portproof itself: of that, this
makes the one package importable from where it is, and nothing that is installed beside it.
"""

import importlib.util
import runpy
import sys
from pathlib import Path


def _make_importable(folder: Path) -> None:
    spec = importlib.util.spec_from_file_location(
        folder.name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[folder.name] = module
    spec.loader.exec_module(module)


if __name__ == "__main__":
    _make_importable(Path(__file__).resolve().parents[2])
    del sys.argv[0]
    runpy.run_module(f"portproof.runtimes.python.{sys.argv[0]}", run_name="__main__")
