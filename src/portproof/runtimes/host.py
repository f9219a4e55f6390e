"""The machine that a report is made on."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

from portproof.bundle.report import Environment


def environment(runtimes: dict[str, dict[str, str]], sandbox: str) -> Environment:
    """This machine, the versions that the runners reported, and what the runners were kept in.

    Its name is what $PORTPROOF_HOST says, or its own.
    """
    return Environment(
        host=os.environ.get("PORTPROOF_HOST") or platform.node(),
        platform=platform.platform(),
        processor=_processor(),
        python=platform.python_version(),
        portproof=version("portproof"),
        sandbox=sandbox,
        runtimes=runtimes,
    )


def _processor() -> str:
    """The processor's name, where the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor()
