"""The command line: parses, calls the API, prints."""

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import portproof
from portproof._api import ARTIFACTS
from portproof.bundle.bundle import find_bundles
from portproof.bundle.errors import PortproofError, UsageError
from portproof.bundle.report import joined as joined_reports
from portproof.reporting.printing import note, say

if TYPE_CHECKING:
    from portproof.project import Project

app = typer.Typer(
    help="Export a model to every format, and prove that each artifact gives its numbers.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
Models = Annotated[
    list[str] | None,
    typer.Argument(
        help="A .keras file, a SavedModel folder, package.module:function, or a name in "
        "portproof.toml; without one, all that are there."
    ),
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
    model: Models = None,
    output: Annotated[
        Path, typer.Option(help="The folder of the bundles, each below its model's name.")
    ] = ARTIFACTS,
    inputs: Annotated[
        Path | None, typer.Option(help="The model's own data: a .npz, .npy or .safetensors file.")
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option(
            help="The right class of each row: a .npy file, or OUTPUT=FILE; repeatable.",
            metavar="[OUTPUT=]FILE",
        ),
    ] = None,
    signature: Annotated[
        list[str] | None, typer.Option(help="Only this signature; repeatable.")
    ] = None,
    format: Annotated[  # noqa: A002
        list[str] | None, typer.Option(help="Only this format, or variant of one; repeatable.")
    ] = None,
    keep_float: Annotated[
        list[str] | None,
        typer.Option(help="Keep this layer in floats in every variant; repeatable."),
    ] = None,
    import_: Annotated[
        list[str] | None,
        typer.Option("--import", help="A module with the model's own layers; repeatable."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also what is up to date, of portproof.toml.")
    ] = False,
    trust: Annotated[
        bool, typer.Option("--trust", help="Load a file or a SavedModel outside of the sandbox.")
    ] = False,
    total_limit: Annotated[
        float, typer.Option(help="Seconds for a model that is loaded in the sandbox.")
    ] = 3600.0,
) -> None:
    """Export models to every format, with their test vectors, into artifacts/NAME.

    Of portproof.toml, those that have changed since they were exported last. A model from a file or
    a folder, which may be anyone's, is loaded and exported in a sandbox.
    """
    from portproof.formats.converting import converters_for
    from portproof.formats.table import check_names, select
    from portproof.keras2 import provide_keras2
    from portproof.project import find_project
    from portproof.sources.names import check_name

    models = list(dict.fromkeys(model or ()))
    project = find_project()
    if project and set(models) <= set(project.models):
        given = (inputs, labels, signature, format, keep_float, import_)
        if any(given) or output != ARTIFACTS:
            raise UsageError(f"options of a model of {project.file} belong into that file.")
        _export_project(project, tuple(models), force)
        return
    if not models:
        raise UsageError("name a model, or write a portproof.toml: portproof init.")
    check_names(format)
    for name in models:
        check_name(name)
    provide_keras2(models, say)
    if (inputs or labels) and len(models) > 1:
        raise UsageError("--inputs and --labels are of one model: name it.")
    label_files = _label_files(labels)
    # A person's own modules run with all rights anyway.
    if files := [] if trust or import_ else _to_confine(models):
        from portproof.confined_export import export_confined

        options = _words({"--signature": signature, "--format": format, "--keep-float": keep_float})
        for path in export_confined(files, output, inputs, label_files, options, total_limit, say):
            say(f"exported {_short(path)}")
        models = [name for name in models if not Path(name).exists()]
    if not models:
        return
    with converters_for(select(format)):  # one set for all models
        _start_tensorflow()
        from portproof.sources.examples import read_examples, read_labels

        examples = read_examples(inputs) if inputs else None
        for name in models:
            bundle = portproof.export(
                name,
                folder=output,
                signatures=signature,
                inputs=examples,
                labels={key: read_labels(file) for key, file in label_files.items()},
                formats=format,
                keep_float=keep_float or (),
                imports=import_ or (),
                log=say,
            )
            say(f"exported {_short(bundle.path)}")


def _to_confine(models: list[str]) -> list[Path]:
    """Those that may be anyone's, where there is a sandbox for them."""
    from portproof.confined_export import can_confine

    files = [Path(name) for name in models if Path(name).exists()]
    return files if files and can_confine(files, note) else []


def _words(options: Mapping[str, list[str] | None]) -> list[str]:
    """Options of a command, as they are typed."""
    return [f"{name}={value}" for name, values in options.items() for value in values or ()]


def _label_files(labels: list[str] | None) -> dict[str, Path]:
    """By output the files of `--labels`; "" is the only output."""
    files: dict[str, Path] = {}
    for text in labels or ():
        output, _, file = ("", "", text) if Path(text).is_file() else text.rpartition("=")
        files[output] = Path(file)
    return files


def _export_project(project: "Project", names: tuple[str, ...], force: bool) -> None:
    from portproof.build_records import ModelBuild
    from portproof.building import export_model
    from portproof.formats.converting import converters_for
    from portproof.formats.table import select

    chosen = project.chosen(names)
    if not chosen:
        raise UsageError(f"{project.file} has no models: add a table [models.NAME] with a source.")
    changed = []
    for name in chosen:
        if not force and ModelBuild(project, name).is_exported():
            say(f"{name} is up to date")
        else:
            changed.append(name)
    if not changed:
        return
    formats = [f for name in changed for f in select(project.models[name].formats or None)]
    with converters_for(formats):  # one set for all models
        _start_tensorflow()
        for name in changed:
            say(f"exported {_short(export_model(project, name, say))}")


def _short(path: Path) -> Path:
    """A path as a person would type it here."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _start_tensorflow() -> None:
    from portproof.quiet import check_tensorflow, start_tensorflow

    check_tensorflow()
    note("starting TensorFlow")  # it takes seconds
    # Its warnings are of its own making: a line for each node that its optimizer cannot cost.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    start_tensorflow()


@app.command()
def init() -> None:
    """Write a portproof.toml into this folder, with the models that are found in it."""
    from portproof.project_start import write_project

    path, models = write_project(Path.cwd())
    found = f"with {', '.join(models)}" if models else "without a model: none was found here"
    say(f"wrote {path.name}, {found}. Edit it, then: portproof export, portproof verify")


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
    json: Annotated[Path | None, typer.Option(help="Write the report to this file too.")] = None,
    time_limit: Annotated[
        float, typer.Option(min=1, help="Seconds for one call of a model.")
    ] = 120.0,
    memory_limit: Annotated[float, typer.Option(min=0.1, help="GiB for one runtime.")] = 8.0,
    total_limit: Annotated[
        float | None, typer.Option(min=1, help="Seconds for all of it.", show_default=False)
    ] = None,
    junit: Annotated[
        Path | None, typer.Option(help="Write JUnit XML, a test case for each signature.")
    ] = None,
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
    key: Annotated[
        Path | None, typer.Option(help="The public key that a published bundle is signed with.")
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Run artifacts outside of the sandbox.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only what is not proven.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Print each verdict at once.")] = False,
) -> None:
    """Run every artifact in the runtimes that load it, and prove its numbers.

    Exit status: 0 proven, 1 wrong or failed, 2 wrong usage, 3 requested but absent, 130 Ctrl-C.
    In a GitHub job it also annotates the run, and writes the job's page.
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
    write_for_programs(joined, json=json, junit=junit)
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
    json: Annotated[Path | None, typer.Option(help="Write the report to this file too.")] = None,
    edge: Annotated[
        bool, typer.Option("--edge", help="Run all edge cases, and print them.")
    ] = False,
    trust: Annotated[
        bool, typer.Option("--trust", help="Load and run everything outside of the sandbox.")
    ] = False,
) -> None:
    """Prove that a file which another tool wrote still is the model that it was made of.

    What is found is a bundle like any other, in artifacts/NAME.checked. Exit status: as of verify.
    Without --against each runtime is held to the reference kernels, or to the CPU, and nothing is
    proven but that they agree.
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
    key: Annotated[
        Path | None, typer.Option(help="The public key that a published bundle is signed with.")
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Run artifacts outside of the sandbox.")
    ] = False,
) -> None:
    """Say what got worse from one bundle, or one version of a runtime, to another.

    A bundle's own report.json is used where it is of these files; else it is verified first.
    Exit status: 0 nothing got worse, 1 something did. In a GitHub job it also writes its page.
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
        list[Path], typer.Argument(help="report.json files, and bundles for their reports.")
    ],
    json: Annotated[Path | None, typer.Option(help="Write the report to this file too.")] = None,
    junit: Annotated[
        Path | None, typer.Option(help="Write JUnit XML, a test case for each signature.")
    ] = None,
) -> None:
    """Make one report of several hosts' reports of the same bundle.

    It is written beside each bundle that is named. Where hosts disagree is told first. Exit status:
    as of verify.
    """
    from portproof.reporting.files import write_for_programs

    report = portproof.merge(*reports)
    portproof.print_report(report)
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
            say(f"wrote {_short(path)}")
        agree.append(diagnosis.agrees)
        found += [graph_errors(diagnosis)] if diagnosis.tensors else []
    unwritten = add_graph_errors(Bundle.open(bundle), found) if found else None
    if unwritten is not None:
        said = [f"not drawn: {path}: {reason}" for path, reason in unwritten.items()]
        say(said[0] if said else f"drawn in {_short(bundle / PAGE)}")
    raise typer.Exit(0 if all(agree) and agree else 1)


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

    Each device's report is kept in BUNDLE/devices, for portproof merge. Exit status: 0 proven on
    all devices that came, 1 not on one, 3 none came or one did not stay.
    """
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
    try:
        from portproof.workers.worker import serve_tasks
    except ImportError as error:
        raise UsageError(f"{error.name} is not installed: pip install 'portproof[dask]'") from None

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


@app.command()
def publish(
    bundle: Annotated[Path, typer.Argument(help="The bundle, or a name in portproof.toml.")],
    destination: Annotated[
        str,
        typer.Argument(
            help="A folder, a URL such as s3://... or oci://host/repository:tag; without one, what "
            "portproof.toml says."
        ),
    ] = "",
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
    from portproof.building import bundles_of
    from portproof.project import find_project

    project = find_project()
    names = bundles_of(project, [str(bundle)]) if project else []
    if project and names:
        bundle = project.bundle(names[0])
        destination = destination or project.models[names[0]].publish or ""
    if not destination:
        raise UsageError("name a destination, or write `publish` into the model's portproof.toml.")
    address = portproof.publish(
        bundle, destination, version=version, sign_key=sign_key, unverified=unverified
    )
    say(f"published {address}")


@app.command()
def show(bundles: Bundles = None) -> None:
    """Print what bundles hold: signatures, traces, artifacts and their sizes."""
    from portproof.bundle.bundle import Bundle, find_bundles
    from portproof.reporting.bundle_text import bundle_text

    for path in bundles or find_bundles(ARTIFACTS):
        say("\n".join(bundle_text(Bundle.open_unchecked(path))))


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


def main() -> None:
    """Run the command line: an error that a person can act on is one message and a status."""
    for ending in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(ending) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(ending, signal.default_int_handler)  # as Ctrl-C
    try:
        app()
    except PortproofError as error:
        note(f"error: {error}")
        raise SystemExit(error.exit_status) from None
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        note(f"error: {place}{error.strerror or error}")
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
