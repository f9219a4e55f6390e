"""The command line: parses, calls the API, prints."""

import os
from pathlib import Path
from typing import Annotated

import typer

import portproof
from portproof._api import ARTIFACTS
from portproof.bundle.errors import PortproofError, UsageError

app = typer.Typer(
    help="Export a model to every format, and prove that each artifact gives its numbers.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
Models = Annotated[
    list[str],
    typer.Argument(help="A .keras file, a SavedModel folder or package.module:function."),
]
Runtimes = Annotated[
    list[str] | None,
    typer.Option(help="Only this runtime, at a version: litert@1.4.0; repeatable."),
]
Servers = Annotated[
    list[str] | None,
    typer.Option(help="A running TensorFlow Serving's URL of the model: http:// or grpc://."),
]
BundlesOrAddresses = Annotated[
    list[str] | None,
    typer.Argument(help="Bundles or addresses of published ones; without one, all of artifacts."),
]
Bundles = Annotated[
    list[Path] | None, typer.Argument(help="Bundles; without one, all of artifacts.")
]


@app.command()
def export(
    model: Models,
    output: Annotated[
        Path, typer.Option(help="The folder of the bundles, each below its model's name.")
    ] = ARTIFACTS,
    inputs: Annotated[
        Path | None, typer.Option(help="The model's own data: a .npz, .npy or .safetensors file.")
    ] = None,
    signature: Annotated[
        list[str] | None, typer.Option(help="Only this signature; repeatable.")
    ] = None,
    format: Annotated[  # noqa: A002
        list[str] | None, typer.Option(help="Only this format, or variant of one; repeatable.")
    ] = None,
    import_: Annotated[
        list[str] | None,
        typer.Option("--import", help="A module with the model's own layers; repeatable."),
    ] = None,
) -> None:
    """Export models to every format, with their test vectors, into artifacts/NAME."""
    from portproof.formats.table import check_names
    from portproof.quiet import check_tensorflow, start_tensorflow
    from portproof.sources.names import check_name

    check_tensorflow()
    check_names(format)
    models = list(dict.fromkeys(model))
    for name in models:
        check_name(name)
    if inputs and len(models) > 1:
        raise UsageError("--inputs are of one model: name it.")
    typer.echo("starting TensorFlow", err=True)  # it takes seconds
    # Its warnings are of its own making: a line for each node that its optimizer cannot cost.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    start_tensorflow()
    from portproof.sources.examples import read_examples

    examples = read_examples(inputs) if inputs else None
    for name in models:
        bundle = portproof.export(
            name,
            folder=output,
            signatures=signature,
            inputs=examples,
            formats=format,
            imports=import_ or (),
            log=typer.echo,
        )
        typer.echo(f"exported {bundle.path}")


@app.command()
def verify(
    bundles: BundlesOrAddresses = None,
    runtime: Runtimes = None,
    serving: Servers = None,
    json: Annotated[Path | None, typer.Option(help="Write the report to this file too.")] = None,
    time_limit: Annotated[
        float, typer.Option(min=1, help="Seconds for one call of a model.")
    ] = 120.0,
    memory_limit: Annotated[float, typer.Option(min=0.1, help="GiB for one runtime.")] = 8.0,
    junit: Annotated[
        Path | None, typer.Option(help="Write JUnit XML, a test case for each signature.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Let edge cases count too.")] = False,
    edge: Annotated[
        bool, typer.Option("--edge", help="Print edge cases and envelopes too, which do not count.")
    ] = False,
    key: Annotated[
        Path | None, typer.Option(help="The public key that a published bundle is signed with.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only what is not proven.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Print each verdict at once.")] = False,
) -> None:
    """Run every artifact in the runtimes that load it, and prove its numbers.

    Exit status: 0 proven, 1 wrong or failed, 2 wrong usage, 3 requested but absent, 130 Ctrl-C.
    In a GitHub job it also annotates the run, and writes the job's page.
    """
    from portproof.reporting.files import write_for_programs
    from portproof.reporting.progress import progress, runtime_progress

    with progress(quiet=quiet, verbose=verbose) as on_cell:
        report = portproof.verify(
            *(bundles or []),
            runtimes=runtime,
            serving=serving,
            time_limit=time_limit,
            memory_limit=memory_limit,
            strict=strict,
            key=key,
            on_cell=on_cell,
            on_runtime=runtime_progress(quiet=quiet),
            log=_to_stderr,
        )
    portproof.print_report(report, quiet=quiet, edge=edge)
    write_for_programs(report, json=json, junit=junit)
    raise typer.Exit(report.exit_status)


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
        on_performance=lambda p: typer.echo(f"timed {p.model} in {p.runtime}", err=True),
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
) -> None:
    """Find the first tensor inside a model at which a runtime leaves the reference.

    Exit status: 0 none leaves it, 1 one does, or the runtime refuses the model.
    """
    from portproof.reporting.terminal import print_diagnosis

    agree = []
    for diagnosis in portproof.diagnose(bundle, runtime, format=format, case=case):
        print_diagnosis(diagnosis)
        agree.append(diagnosis.agrees)
    raise typer.Exit(0 if all(agree) and agree else 1)


@app.command()
def publish(
    bundle: Annotated[Path, typer.Argument(help="The bundle.")],
    destination: Annotated[
        str, typer.Argument(help="A folder, a URL such as s3://..., or oci://host/repository:tag.")
    ],
    version: Annotated[
        str, typer.Option(help="A name that will not change; by default of the bundle's digest.")
    ] = "",
    sign_key: Annotated[
        Path | None, typer.Option(help="A private EC key in PEM, to sign with.")
    ] = None,
    unverified: Annotated[
        bool, typer.Option("--unverified", help="Publish what is not proven; this is recorded.")
    ] = False,
) -> None:
    """Publish a bundle that is proven, for `portproof verify ADDRESS` elsewhere."""
    address = portproof.publish(
        bundle, destination, version=version, sign_key=sign_key, unverified=unverified
    )
    typer.echo(f"published {address}")


@app.command()
def show(bundles: Bundles = None) -> None:
    """Print what bundles hold: signatures, traces, artifacts and their sizes."""
    from portproof.bundle.bundle import Bundle, find_bundles
    from portproof.reporting.bundle_text import bundle_text

    for path in bundles or find_bundles(ARTIFACTS):
        typer.echo("\n".join(bundle_text(Bundle.open_unchecked(path))))


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
            typer.echo(f"removed {environment}")
    else:
        with setup_progress() as log:
            portproof.set_up(*(runtimes or []), log=log)


def _to_stderr(line: str) -> None:
    typer.echo(line, err=True)


def main() -> None:
    """Run the command line: an error that a person can act on is one message and a status."""
    try:
        app()
    except PortproofError as error:
        typer.echo(f"error: {error}", err=True)
        raise SystemExit(error.exit_status) from None
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        typer.echo(f"error: {place}{error.strerror or error}", err=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
