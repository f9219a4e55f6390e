"""axe-core of npm, which finds what keeps people from using a page."""

import json
import os
import subprocess
from pathlib import Path

from portproof.runtimes.environments.node import NodeEnvironment
from tests.helpers.programs import HELPERS, browser_variables, node_command


class _Axe(NodeEnvironment):
    """Its lock is among the tests: no runtime needs it."""

    @property
    def lock(self) -> Path:
        return HELPERS / "axe"


def findings(*addresses: str, settled: str = "") -> list[str]:
    """What is serious on each page, at three widths, in light and in dark.

    Args:
        addresses: The pages, `file:` or `http:`.
        settled: A regular expression for the text of a page's `#status` when it is done; empty: a
            page is done when it is loaded.
    """
    axe = _Axe("axe", prefix="axe-core")
    axe.make(print)
    done = subprocess.run(
        node_command("accessibility.mjs", settled, *addresses),
        env={**os.environ, **browser_variables(), **axe.variables()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout)
    return found
