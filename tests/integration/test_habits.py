"""What people expect of any command: its version, completion, statuses, colours, other ways in."""

import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

PROGRAMS = ([str(Path(sys.executable).with_name("portproof"))], [sys.executable, "-m", "portproof"])


def run(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAMS[0], *words],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_version_is_the_installed_one(program: list[str]) -> None:
    done = subprocess.run([*program, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"portproof {version('portproof')}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_commands_and_options_complete(shell: str) -> None:
    asked = {"_PORTPROOF_COMPLETE": f"complete_{shell}", "COMP_WORDS": "portproof ver"}
    asked |= {"COMP_CWORD": "1", "_TYPER_COMPLETE_ARGS": "portproof ver"}
    asked |= {"_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    assert "verify" in run(**asked).stdout


def test_the_help_has_the_exit_statuses() -> None:
    told = run("--help", COLUMNS="100").stdout
    for status in (
        "it is proven, or done",
        "something is wrong or failed",
        "used wrongly",
        "is absent",
    ):
        assert status in told
    for command in ("verify", "check", "compare", "merge", "bench", "diagnose", "serve", "setup"):
        assert re.search("Exit status:", run(command, "--help").stdout), command


def test_a_jobs_log_gets_colours_and_no_animation() -> None:
    """Whose lines stay as they are: nothing is drawn over, nothing broken at 80 columns."""
    done = run("runtimes", FORCE_COLOR="1", TERM="xterm-256color", COLUMNS="80")
    assert done.returncode == 0
    printed = done.stdout + done.stderr
    assert not re.search(r"\x1b\[(\?|\d*[A-HJK])", printed)
    plain = re.sub(r"\x1b\[[\d;]*m", "", done.stdout)
    assert plain != done.stdout
    assert max(map(len, plain.splitlines())) > 80
