"""The command line: parses, calls the API, prints. A module for each kind of command."""

import io
import signal
import sys

# In the order in which the help lists the commands.
from portproof.cli import (  # noqa: F401 isort: skip
    exporting,
    verifying,
    inspecting,
    hosts,
    publishing,
    environments,
)
from portproof.bundle.errors import PortproofError
from portproof.cli.application import app
from portproof.reporting.printing import note


def main() -> None:
    """Run the command line: an error that a person can act on is one message and a status."""
    for ending in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(ending) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(ending, signal.default_int_handler)  # as Ctrl-C
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # of a terminal that has no such letter
    try:
        app()
    except PortproofError as error:
        note(f"error: {error}")
        raise SystemExit(error.exit_status) from None
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        note(f"error: {place}{error.strerror or error}")
        raise SystemExit(1) from None
