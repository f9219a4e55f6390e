"""The rules of the house: who may import what, and what a command may cost."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from portproof.bundle.bundle import Bundle
from tests.conftest import REPOSITORY

SOURCES = [
    path
    for folder in ("bundle", "verify")
    for path in (REPOSITORY / folder).rglob("*.py")
    if "node_modules" not in path.parts
] + [REPOSITORY / "portproof.py"]
HEAVY = {"tensorflow", "keras", "tensorflowjs", "export", "oracle"}


def module_level_imports(tree: ast.Module) -> set[str]:
    """The top packages that importing the module imports: functions and TYPE_CHECKING do not."""
    found: set[str] = set()
    stack: list[ast.AST] = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
        stack += ast.iter_child_nodes(node)
    return found


def test_the_walk_sees_imports() -> None:
    tree = ast.parse("import a.b\ntry:\n    from c import d\nfinally: pass\ndef f():\n    import e")
    assert module_level_imports(tree) == {"a", "c"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(REPOSITORY)))
def test_no_module_level_tensorflow_outside_export(path: Path) -> None:
    assert not module_level_imports(ast.parse(path.read_text())) & HEAVY


COMMANDS = [
    ["--help"],
    ["train", "--help"],
    ["export", "--help"],
    ["verify", "--help"],
    ["runtimes"],
    ["show", "{bundle}"],
    ["verify", "{bundle}"],
]

PROBE = """
import sys
import portproof
sys.argv = ["portproof", *sys.argv[1:]]
try:
    portproof.main()
except SystemExit as end:
    assert not end.code, end.code
print("HEAVY", sorted({"tensorflow", "keras", "jax", "ai_edge_litert"} & sys.modules.keys()))
"""


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_commands_do_not_pay_for_tensorflow(command: list[str], bundles: dict[str, Bundle]) -> None:
    arguments = [word.format(bundle=bundles["quadratic"].path) for word in command]
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *arguments], check=True, capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1] == "HEAVY []"
