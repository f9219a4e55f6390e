"""Commands that run artifacts and judge their numbers."""

from pathlib import Path
from typing import Annotated

import typer

import portproof
from portproof._api import ARTIFACTS
from portproof.bundle.bundle import find_bundles
from portproof.bundle.errors import UsageError
from portproof.bundle.report import joined as joined_reports
from portproof.cli.application import app
from portproof.cli.options import (
    BadgeFile,
    BundlesOrAddresses,
    JsonFile,
    JunitFile,
    KeyFile,
    Runtimes,
    Servers,
)
from portproof.reporting.printing import note


@app.command()
def verify(
    bundles: BundlesOrAddresses = None,
    runtime: Runtimes = None,
    serving: Servers = None,
    on: Annotated[
        list[str] | None,
        typer.Option(help="Run there, not here: a machine as ssh takes it; repeatable."),
    ] = None,
    scheduler: Annotated[
        str, typer.Option(help="Have a Dask scheduler's workers run it: tcp://... or tls://...")
    ] = "",
    json: JsonFile = None,
    time_limit: Annotated[
        float, typer.Option(min=1, help="Seconds for one call of a model.")
    ] = 120.0,
    memory_limit: Annotated[float, typer.Option(min=0.1, help="GiB for one runtime.")] = 8.0,
    total_limit: Annotated[
        float | None, typer.Option(min=1, help="Seconds for all of it.", show_default=False)
    ] = None,
    junit: JunitFile = None,
    badge: BadgeFile = None,
    strict: Annotated[bool, typer.Option("--strict", help="Let edge cases count too.")] = False,
    recompute: Annotated[
        bool,
        typer.Option("--recompute", help="Make the test vectors again, and compare. Slow."),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also what is up to date, of portproof.toml.")
    ] = False,
    edge: Annotated[
        bool,
        typer.Option("--edge", help="Run all edge cases, and print them: they do not count."),
    ] = False,
    key: KeyFile = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Run artifacts outside of the sandbox.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only what is not proven.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Print each verdict at once.")] = False,
) -> None:
    """Run every artifact in the runtimes that load it, and prove its numbers.

    In a GitHub job it also annotates the run, and writes the job's page.

    Exit status: 0 proven, 1 wrong or failed, 2 wrong usage, 3 requested but absent, 130 Ctrl-C.
    """
    from portproof.building import bundles_of, verify_models
    from portproof.project import find_project
    from portproof.reporting.files import write_for_programs
    from portproof.reporting.progress import progress, runtime_progress
    from portproof.runtimes.process import Limits
    from portproof.verification import Callbacks, VerifyOptions, verify_bundles

    options = VerifyOptions(
        runtimes=tuple(runtime or ()),
        servers=tuple(serving or ()),
        hosts=tuple(on or ()),
        scheduler=scheduler,
        limits=Limits(request=time_limit, memory=memory_limit),
        total_limit=total_limit,
        strict=strict,
        edge=edge,
        recompute=recompute,
        key=key,
        trust=trust,
    )
    project = find_project()
    names = bundles_of(project, bundles or []) if project else []
    with progress(quiet=quiet, verbose=verbose) as on_cell:
        callbacks = Callbacks(on_cell, runtime_progress(quiet=quiet), note)
        if project and names:
            reports = verify_models(project, names, options, callbacks, force=force)
        else:
            found = bundles or [str(path) for path in find_bundles(ARTIFACTS)]
            reports = [verify_bundles(found, options, callbacks)]
    for report in reports:
        portproof.print_report(report, quiet=quiet, edge=edge)
    joined = reports[0] if len(reports) == 1 else joined_reports(reports)
    write_for_programs(joined, json=json, junit=junit, badge=badge)
    raise typer.Exit(joined.exit_status)


@app.command()
def check(
    file: Annotated[
        Path, typer.Argument(help="What another tool wrote: .tflite, .onnx, TF.js, SavedModel ...")
    ],
    against: Annotated[
        str,
        typer.Option(
            help="The model that it should be, as `portproof export` takes it; without one, the "
            "runtimes are held to each other."
        ),
    ] = "",
    inputs: Annotated[
        Path | None, typer.Option(help="The model's own data: a .npz, .npy or .safetensors file.")
    ] = None,
    map_: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            help="The file's name of the model's input or output; repeatable.",
            metavar="NAME=FILE_NAME",
        ),
    ] = None,
    signature: Annotated[str | None, typer.Option(help="Only this signature.")] = None,
    import_: Annotated[
        list[str] | None,
        typer.Option("--import", help="A module with the model's own layers; repeatable."),
    ] = None,
    runtime: Runtimes = None,
    output: Annotated[Path, typer.Option(help="The folder of the bundle.")] = ARTIFACTS,
    json: JsonFile = None,
    edge: Annotated[
        bool, typer.Option("--edge", help="Run all edge cases, and print them.")
    ] = False,
    trust: Annotated[
        bool, typer.Option("--trust", help="Load and run everything outside of the sandbox.")
    ] = False,
) -> None:
    """Prove that a file which another tool wrote still is the model that it was made of.

    What is found is a bundle like any other, in artifacts/NAME.checked. Without --against each
    runtime is held to the reference kernels, or to the CPU, and nothing is proven but that they
    agree.

    Exit status: as of verify.
    """
    from portproof.reporting.files import write_for_programs
    from portproof.reporting.progress import progress, runtime_progress

    with progress(quiet=False, verbose=False) as on_cell:
        report = portproof.check(
            file,
            against,
            inputs=inputs,
            names=_pairs(map_),
            signature=signature,
            runtimes=runtime,
            imports=import_ or (),
            folder=output,
            edge=edge,
            trust=trust,
            on_cell=on_cell,
            on_runtime=runtime_progress(quiet=False),
            log=note,
        )
    portproof.print_report(report, edge=edge)
    write_for_programs(report, json=json, junit=None)
    raise typer.Exit(report.exit_status)


def _pairs(texts: list[str] | None) -> dict[str, str]:
    """`NAME=OTHER` of an option that may be repeated. A name has no `=`, the other one may."""
    pairs = {}
    for text in texts or ():
        name, sign, other = text.partition("=")
        if not sign or not name or not other:
            raise UsageError(f"--map {text}: write NAME=FILE_NAME.")
        pairs[name] = other
    return pairs


@app.command()
def compare(
    old: Annotated[
        str, typer.Argument(help="A bundle, its address, a report.json, or a file with --against.")
    ],
    new: Annotated[
        str | None, typer.Argument(help="The same; without it, two runtimes of the first.")
    ] = None,
    runtime: Runtimes = None,
    against: Annotated[
        str, typer.Option(help="The model that files of other tools should be.")
    ] = "",
    inputs: Annotated[
        Path | None, typer.Option(help="That model's own data: a .npz or .safetensors file.")
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(help="Write the comparison as Markdown to this file too.")
    ] = None,
    key: KeyFile = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Run artifacts outside of the sandbox.")
    ] = False,
) -> None:
    """Say what got worse from one bundle, or one version of a runtime, to another.

    A bundle's own report.json is used where it is of these files; else it is verified first. In a
    GitHub job it also writes its page.

    Exit status: 0 nothing got worse, 1 something did.
    """
    from portproof.comparison import Original
    from portproof.comparison import compare as compare_two
    from portproof.reporting.files import write_comparison
    from portproof.reporting.progress import progress, runtime_progress
    from portproof.reporting.terminal import print_comparison
    from portproof.verification import Callbacks, VerifyOptions

    options = VerifyOptions(runtimes=tuple(runtime or ()), key=key, trust=trust)
    original = Original(against, inputs, ARTIFACTS)
    with progress(quiet=False, verbose=False) as on_cell:
        callbacks = Callbacks(on_cell, runtime_progress(quiet=False), note)
        comparison = compare_two(old, new, original, options, callbacks)
    print_comparison(comparison)
    write_comparison(comparison, markdown)
    raise typer.Exit(1 if comparison.regressions or not comparison.changes else 0)


@app.command()
def merge(
    reports: Annotated[
        list[Path],
        typer.Argument(
            help="report.json files, bundles for their reports, and what a static page gave."
        ),
    ],
    json: JsonFile = None,
    junit: JunitFile = None,
    badge: BadgeFile = None,
) -> None:
    """Make one report of several hosts' reports of the same bundle.

    It is written beside each bundle that is named. Where hosts disagree is told first.

    Exit status: as of verify.
    """
    from portproof.reporting.files import write_for_programs

    report = portproof.merge(*reports)
    portproof.print_report(report)
    write_for_programs(report, json=json, junit=junit, badge=badge)
    raise typer.Exit(report.exit_status)
