"""Commands about the runtimes that are here, and what they need."""

from typing import Annotated

import typer

import portproof
from portproof.cli.application import app
from portproof.reporting.printing import say


@app.command()
def runtimes() -> None:
    """List the runtimes and versions that are here, and how to get those that are absent."""
    from portproof.reporting.terminal import print_runtimes
    from portproof.runtimes.listing import runtime_states

    print_runtimes(runtime_states())


@app.command()
def setup(
    runtimes: Annotated[
        list[str] | None,
        typer.Argument(
            help="Runtimes, at a version: litert@1.4.0. Without one, all.", metavar="RUNTIME"
        ),
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="Only list what was set up.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Remove it instead.")] = False,
) -> None:
    """Make what runtimes need, each in an environment of its own in the user's cache folder.

    Exit status: 0 all is here, 1 something cannot be made, 2 wrong usage.
    """
    from portproof.reporting.progress import setup_progress
    from portproof.reporting.terminal import print_environments
    from portproof.runtimes import listing
    from portproof.runtimes.environments.environment import made_environments

    if list_:
        print_environments(made_environments())
    elif remove:
        for environment in listing.remove(runtimes or []):
            say(f"removed {environment}")
    else:
        with setup_progress() as log:
            portproof.set_up(*(runtimes or []), log=log)
