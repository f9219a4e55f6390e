"""Only `export` imports TensorFlow in its own process."""

import subprocess
import sys

import pytest

from portproof import Bundle

COMMANDS = [
    ["--help"],
    ["export", "--help"],
    ["verify", "--help"],
    ["runtimes"],
    ["show", "{bundle}"],
    ["verify", "{bundle}", "--runtime", "litert"],
]

PROBE = """
import sys
import portproof.cli
sys.argv = ["portproof", *sys.argv[1:]]
try:
    portproof.cli.main()
except SystemExit as end:
    assert not end.code, end.code
print("HEAVY", sorted({"tensorflow", "keras", "jax", "ai_edge_litert"} & sys.modules.keys()))
"""


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_command_does_not_import_tensorflow(
    command: list[str], bundles: dict[str, Bundle]
) -> None:
    arguments = [word.format(bundle=bundles["quadratic"].path) for word in command]
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *arguments], check=True, capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1] == "HEAVY []"
