"""Commands that look into bundles, time them, and find where a runtime differs."""

from pathlib import Path
from typing import Annotated

import typer

import portproof
from portproof._api import ARTIFACTS
from portproof.bundle.text import short_path
from portproof.cli.application import app
from portproof.cli.options import Bundles, Runtimes
from portproof.reporting.printing import note, say


@app.command()
def show(bundles: Bundles = None) -> None:
    """Print what bundles hold: signatures, traces, artifacts and their sizes."""
    from portproof.bundle.bundle import Bundle, find_bundles
    from portproof.reporting.bundle_text import bundle_text

    for path in bundles or find_bundles(ARTIFACTS):
        say("\n".join(bundle_text(Bundle.open_unchecked(path))))


@app.command()
def bench(
    bundles: Bundles = None,
    runtime: Runtimes = None,
    json: Annotated[Path | None, typer.Option(help="Write the figures to this file too.")] = None,
) -> None:
    """Time artifacts one after the other: loading, single calls, memory. Judges no numbers.

    Exit status: 0 all were timed, 1 one was not.
    """
    from portproof.reporting.files import write_performance
    from portproof.reporting.terminal import print_performance

    timed = portproof.bench(
        *(bundles or []),
        runtimes=runtime,
        on_performance=lambda p: note(f"timed {p.model} in {p.runtime}"),
    )
    print_performance(timed)
    if json:
        write_performance(timed, json)
    raise typer.Exit(1 if not timed or any(p.error for p in timed) else 0)


@app.command()
def diagnose(
    bundle: Annotated[Path, typer.Argument(help="The bundle.")],
    runtime: Annotated[str, typer.Option(help="The runtime that gives other numbers.")],
    format: Annotated[str, typer.Option(help="Only this format.")] = "",  # noqa: A002
    case: Annotated[str, typer.Option(help="Only this case, such as batch-7.")] = "",
    model_explorer: Annotated[
        Path | None,
        typer.Option(help="Write node data for Model Explorer into this folder.", metavar="FOLDER"),
    ] = None,
) -> None:
    """Find the first tensor inside a model at which a runtime leaves the reference.

    The error along the graph is drawn in the bundle's report.html. Of a variant, list the layers by
    the noise that each adds.

    Exit status: 0 none leaves it, 1 one does, or the runtime refuses the model.
    """
    from portproof.bundle.bundle import PAGE, Bundle
    from portproof.reporting.files import add_graph_errors
    from portproof.reporting.model_explorer import write_node_data
    from portproof.reporting.terminal import print_diagnosis
    from portproof.verifying.departures import graph_errors

    agree, found = [], []
    for diagnosis in portproof.diagnose(bundle, runtime, format=format, case=case):
        print_diagnosis(diagnosis)
        for path in write_node_data(diagnosis, model_explorer) if model_explorer else ():
            say(f"wrote {short_path(path)}")
        agree.append(diagnosis.agrees)
        found += [graph_errors(diagnosis)] if diagnosis.tensors else []
    unwritten = add_graph_errors(Bundle.open(bundle), found) if found else None
    if unwritten is not None:
        said = [f"not drawn: {path}: {reason}" for path, reason in unwritten.items()]
        say(said[0] if said else f"drawn in {short_path(bundle / PAGE)}")
    raise typer.Exit(0 if all(agree) and agree else 1)
