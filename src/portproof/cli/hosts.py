"""Commands for other devices and machines."""

from pathlib import Path
from typing import Annotated

import typer

from portproof.bundle.errors import needs_extra
from portproof.cli.application import app


@app.command()
def serve(
    bundle: Annotated[Path, typer.Argument(help="The bundle.")],
    host: Annotated[
        str, typer.Option(help="The address to listen on; 0.0.0.0: all, for other devices.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0: any that is free.")] = 0,
    time_limit: Annotated[
        float, typer.Option(min=1, help="Seconds for one call of a model.")
    ] = 120.0,
    until: Annotated[
        int, typer.Option(min=0, help="End when so many devices have a report; 0: on Ctrl-C.")
    ] = 0,
    static: Annotated[
        Path | None,
        typer.Option(help="Write a page for any web server to this folder, and serve nothing."),
    ] = None,
) -> None:
    """Print a link: whoever opens it runs the bundle in their browser, and gets a report.

    Each device's report is kept in BUNDLE/devices, for portproof merge.

    Exit status: 0 proven on all devices that came, 1 not on one, 3 none came or one did not stay.
    """
    with needs_extra("serve"):
        from portproof.devices.command import serve_devices, write_static

    if static:
        write_static(bundle, static)
        return
    raise typer.Exit(serve_devices(bundle, host, port, time_limit, until))


@app.command()
def worker(
    scheduler: Annotated[str, typer.Argument(help="The scheduler: tcp://... or tls://...")],
    name: Annotated[str, typer.Option(help="The name of this host in reports.")] = "",
    threads: Annotated[
        int, typer.Option(min=0, help="Tasks at a time; 0: as many as there are cores.")
    ] = 0,
    memory: Annotated[
        float, typer.Option(min=0, help="GiB for all tasks together; 0: most of what is here.")
    ] = 0,
) -> None:
    """Run what `portproof verify --scheduler` gives out, with the runtimes that are here.

    The scheduler is Dask's (`dask scheduler`). Whoever reaches it can run code here: docs/fleet.md.
    """
    with needs_extra("dask"):
        from portproof.workers.worker import serve_tasks

    serve_tasks(scheduler, name, threads, memory)


@app.command(hidden=True)
def runner(
    name: Annotated[
        str, typer.Argument(help="The runtime; without one, describe this machine.")
    ] = "",
    time_limit: Annotated[float, typer.Option(min=1)] = 120.0,
    memory_limit: Annotated[float, typer.Option(min=0.1)] = 8.0,
) -> None:
    """Answer the requests of `portproof verify --on` from another machine."""
    from portproof.runtimes.process import Limits
    from portproof.runtimes.remote import main as answer

    answer(name, Limits(request=time_limit, memory=memory_limit))
