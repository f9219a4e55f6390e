"""`import portproof` and most of its packages do not import TensorFlow."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PACKAGE

# Packages and modules that are imported to verify, show and publish.
LIGHT = (
    "__init__.py",
    "_api.py",
    "cli",
    "quiet.py",
    "verification.py",
    "bundle",
    "comparing",
    "formats/format.py",
    "formats/table.py",
    "publishing",
    "reporting",
    "runtimes",
    "sources/names.py",
    "sources/source.py",
    "tflite/file.py",
    "verifying",
)
FILES = sorted(
    path
    for entry in LIGHT
    for path in ([PACKAGE / entry] if entry.endswith(".py") else (PACKAGE / entry).rglob("*.py"))
)
HEAVY = {"tensorflow", "keras", "jax", "torch", "tensorflowjs"}


def module_level_imports(tree: ast.Module) -> set[str]:
    """The top-level packages that a module imports outside functions and TYPE_CHECKING."""
    packages: set[str] = set()
    stack: list[ast.AST] = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            packages |= {alias.name.split(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            packages.add(node.module.split(".")[0])
        stack += ast.iter_child_nodes(node)
    return packages


def test_module_level_imports_are_found() -> None:
    tree = ast.parse("import a.b\ntry:\n    from c import d\nfinally: pass\ndef f():\n    import e")
    assert module_level_imports(tree) == {"a", "c"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_light_module_imports_no_tensorflow(path: Path) -> None:
    assert not module_level_imports(ast.parse(path.read_text())) & HEAVY


PROBE = """
import sys
import portproof
import portproof.cli
names = [getattr(portproof, name) for name in portproof.__all__]
assert len(names) > 20
print(sorted({"tensorflow", "keras", "jax", "ai_edge_litert", "matplotlib"} & sys.modules.keys()))
"""


def test_the_whole_public_api_is_imported_without_tensorflow() -> None:
    done = subprocess.run([sys.executable, "-c", PROBE], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_no_module_has_the_name_of_a_public_function() -> None:
    """Importing `portproof.export` would replace the function `portproof.export`."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    [names] = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    modules = {path.stem for path in PACKAGE.iterdir()}
    assert not set(names) & modules
