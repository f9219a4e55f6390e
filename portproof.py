"""The front door: the public Python API and the command line. It holds no logic.

import portproof

portproof.train("quadratic")
bundle = portproof.export("quadratic")
report = portproof.verify(bundle.path)
assert report.ok
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bundle.errors import PortproofError, UsageError

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from bundle.bundle import Bundle
    from export.formats.format import Format
    from export.source import Source
    from verify.diagnose import Diagnosis
    from verify.performance import Performance
    from verify.report import Cell, Report
    from verify.runtimes.runtime import Runtime

__all__ = [
    *("Endpoint", "Format", "PortproofError", "Runtime", "Source", "Written", "add_format"),
    *("add_runtime", "bench", "diagnose", "export", "main", "publish", "serve", "train", "verify"),
]

# What formats and runtimes of one's own are made of. Imported when asked for: some of it is heavy.
_LAZY = {
    "Endpoint": "bundle.manifest",
    "Format": "export.formats.format",
    "Runtime": "verify.runtimes.runtime",
    "Source": "export.source",
    "Written": "export.formats.format",
    "serve": "verify.runners.loop",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'portproof' has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


ARTIFACTS = Path("artifacts")
TRAINING = Path("training")


def train(
    name: str,
    *,
    seed: int = 22,
    epochs: int = 150,
    resume: bool = False,
    folder: str | Path = TRAINING,
    log: Callable[[str], None] = print,
) -> Path:
    """Train a built-in model and leave its state in `folder/NAME`, which is returned.

    With `resume`, a training that was stopped goes on, and ends with the same bits as one that was
    not. Raises UsageError for an unknown name or a state that does not fit.
    """
    from export import models

    path = Path(folder) / name
    models.load(name).train(path, seed=seed, epochs=epochs, resume=resume, log=log)
    return path


def export(
    model: str | Path | Source | tf.Module | keras.Model,
    path: str | Path | None = None,
    *,
    folder: str | Path = ARTIFACTS,
    signatures: Mapping[str, Any] | Sequence[str] | None = None,
    inputs: Any = None,
    formats: Sequence[str] | None = None,
    imports: Sequence[str] = (),
    training: str | Path = TRAINING,
    log: Callable[[str], None] = lambda _: None,
) -> Bundle:
    """Export a model to every format, with its test vectors, as a bundle.

    `model` is a `tf.Module`, a `keras.Model`, a Source, what `tf.saved_model.load` gave, a `.keras`
    file, a SavedModel folder, "package.module:function" that returns one of these, or a built-in
    model's name (trained first if `training/NAME` holds no training). `imports` are modules to
    import first, that register a `.keras` file's own layers.
    `signatures` are the ones to export of several: names, or `tf.function`s by name.
    `inputs` are examples of the model's own data: an array by input name (the array alone where
    there is one input; nested as the model's inputs are; for several signatures a dict of such
    dicts), or a `tf.data.Dataset` of rows or batches. Without them, inputs are drawn from the
    signature. `formats` narrows to some: `tflite`, or one variant of it, `"tflite int8"`.
    The bundle is `path`, or else `folder/NAME`; one that stands there is replaced when the new
    one is whole.
    Raises ExportError where the model cannot be exported, UsageError where the call is wrong.
    """
    from export import formats as known
    from export import write
    from export.open import open_source

    chosen = known.select(formats)
    source = open_source(
        model,
        signatures=signatures,
        inputs=inputs,
        imports=imports,
        training=Path(training),
        log=log,
    )
    return write.write(source, path or Path(folder) / source.name, log, chosen, formats or ())


def verify(
    *bundles: str | Path,
    runtimes: list[str] | None = None,
    serving: list[str] | None = None,
    time_limit: float = 120.0,
    memory_limit: float = 8.0,
    strict: bool = False,
    key: str | Path | None = None,
    on_cell: Callable[[Cell], None] = lambda _: None,
) -> Report:
    """Verify bundles in every runtime that is here, or in `runtimes`, and keep each one's report.

    `bundles` are folders, or addresses at which they were published (`s3://...`, `oci://...`),
    whose signature is held against the public `key`. Without a bundle, all below `artifacts`.
    Every file is held against its digest before anything
    parses it; a bundle that is not what was exported is in the report as refused. `serving` are
    URLs of a TensorFlow Serving that runs already (http:// or grpc://). `time_limit` is
    seconds for one call of a model, `memory_limit` GiB for a runtime and all that it starts: past
    either it is ended, and its cell is `failed`. With `strict`, the regime `edge` counts as the
    others do. Raises UsageError.
    """
    from verify.process import Limits
    from verify.run import Wanted, run

    limits = Limits(request=time_limit, memory=memory_limit)
    own = Path(key) if key else None
    wanted = Wanted(runtimes or (), serving or (), limits, strict, own)
    return run([str(bundle) for bundle in bundles], ARTIFACTS, wanted, on_cell)


def publish(
    bundle: str | Path,
    destination: str,
    *,
    version: str = "",
    sign_key: str | Path | None = None,
    unverified: bool = False,
) -> str:
    """Publish a bundle that is proven, and return its address.

    `destination` is a folder or any URL of fsspec (`s3://bucket/models`), below which the bundle is
    `NAME/VERSION`, or `oci://host/repository:tag`. `version` is by default the beginning of the
    bundle's digest, and never changes. `sign_key` is a private EC key in PEM. Raises UsageError
    where the bundle has no report that proves these files, unless `unverified`, which is recorded.
    """
    from bundle.publishing.publish import publish

    key = Path(sign_key) if sign_key else None
    return publish(bundle, destination, version=version, sign_key=key, unverified=unverified)


def bench(
    *bundles: str | Path,
    runtimes: list[str] | None = None,
    time_limit: float = 120.0,
    memory_limit: float = 8.0,
    on_done: Callable[[Performance], None] = lambda _: None,
) -> list[Performance]:
    """Time bundles in every runtime that is here, or in `runtimes`, one artifact after the other.

    Without a bundle, all below `artifacts`. Each artifact gets a process of its own: load time in
    seconds, single calls of one row and of the model's own data after warming up (median, 10th and
    90th percentile), and the most memory. Limits are as for `verify`. Raises UsageError, and
    BundleError where a bundle is not what was exported.
    """
    from verify.bench import bench
    from verify.process import Limits

    limits = Limits(request=time_limit, memory=memory_limit)
    return bench([Path(b) for b in bundles], ARTIFACTS, runtimes or [], limits, on_done)


def diagnose(
    bundle: str | Path,
    runtime: str,
    *,
    format: str = "",  # noqa: A002
    case: str = "",
) -> Iterator[Diagnosis]:
    """Where inside each of a bundle's artifacts a runtime leaves the reference, one by one.

    `format` narrows to one format, `case` names the test vector; without it the first that is
    wrong is taken, or the model's own data. Raises UsageError, and BundleError where the bundle is
    not what was exported.
    """
    from bundle.bundle import Bundle
    from verify.diagnose import diagnose

    yield from diagnose(Bundle.open(bundle), runtime, format_=format, case=case)


def add_format(format: Format) -> None:  # noqa: A002
    """Let `export` write a format of one's own too, from now on in this process."""
    from export.formats import add

    add(format)


def add_runtime(runtime: Runtime) -> None:
    """Let `verify` run artifacts in a runtime of one's own too, from now on in this process."""
    from verify.runtimes import add

    add(runtime)


app = typer.Typer(
    help="Export a model to every format, and prove that each artifact gives its numbers.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
Runtimes = Annotated[list[str] | None, typer.Option(help="Only this runtime; repeatable.")]
Servers = Annotated[
    list[str] | None,
    typer.Option(help="A running TensorFlow Serving's URL of the model: http:// or grpc://."),
]
Models = Annotated[
    list[str] | None, typer.Argument(help="Models; all built-in ones without an argument.")
]
Names = Annotated[list[str] | None, typer.Argument(help="Built-in models; all without one.")]
Bundles = Annotated[
    list[str] | None,
    typer.Argument(help="Bundles or addresses of published ones; all of artifacts without one."),
]
Paths = Annotated[list[Path] | None, typer.Argument(help="Bundles; all of artifacts without one.")]


@app.command("train")
def _train(
    names: Names = None,
    seed: Annotated[int, typer.Option(help="Decides data, start and order.")] = 22,
    epochs: Annotated[int, typer.Option(min=1, help="When to stop.")] = 150,
    resume: Annotated[bool, typer.Option(help="Go on where a training stopped.")] = False,
) -> None:
    """Train built-in models into training/NAME."""
    from export import models

    chosen = list(dict.fromkeys(names or models.MODELS))
    for name in chosen:
        models.check(name)
    _start_tensorflow()
    for name in chosen:
        typer.echo(f"training {name}")
        train(name, seed=seed, epochs=epochs, resume=resume, log=typer.echo)


@app.command("export")
def _export(
    model: Models = None,
    output: Annotated[Path, typer.Option(help="Where the bundles go.")] = ARTIFACTS,
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
    """Export models to every format, with their test vectors, into artifacts/NAME.

    A model is a .keras file, a SavedModel folder, package.module:function, or a built-in model.
    """
    from export import formats, models, named

    formats.check(format)
    chosen = list(dict.fromkeys(model or models.MODELS))
    for name in chosen:
        named.check(name)
    if inputs and len(chosen) > 1:
        raise UsageError("--inputs are of one model: name it.")
    _start_tensorflow()
    from export.examples import read

    examples = read(inputs) if inputs else None
    for name in chosen:
        bundle = export(
            name,
            folder=output,
            signatures=signature,
            inputs=examples,
            formats=format,
            imports=import_ or (),
            log=typer.echo,
        )
        typer.echo(f"exported {bundle.path}")


@app.command("verify")
def _verify(
    bundles: Bundles = None,
    runtime: Runtimes = None,
    serving: Servers = None,
    json: Annotated[Path | None, typer.Option(help="Write the report to this file too.")] = None,
    time_limit: Annotated[
        float, typer.Option(min=1, help="Seconds for one call of a model.")
    ] = 120.0,
    memory_limit: Annotated[float, typer.Option(min=0.1, help="GiB for one runtime.")] = 8.0,
    junit: Annotated[
        Path | None, typer.Option(help="Write JUnit XML, a test case for each cell.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Let edge cases count too.")] = False,
    key: Annotated[
        Path | None, typer.Option(help="The public key that a published bundle is signed with.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print what is not proven alone.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Print each verdict at once.")] = False,
) -> None:
    """Run every artifact in the runtimes that load it, and prove its numbers.

    Exit status: 0 proven, 1 wrong or failed, 2 wrong usage, 3 asked for but absent, 130 Ctrl-C.
    In a GitHub job it also annotates the run, and writes the job's page.
    """
    from verify import live

    with live.progress(quiet=quiet, verbose=verbose) as on_cell:
        report = verify(
            *(bundles or []),
            runtimes=runtime,
            serving=serving,
            time_limit=time_limit,
            memory_limit=memory_limit,
            strict=strict,
            key=key,
            on_cell=on_cell,
        )
    live.show(report, quiet=quiet)
    live.write(report, json=json, junit=junit)
    raise typer.Exit(report.exit_status)


@app.command("bench")
def _bench(
    bundles: Paths = None,
    runtime: Runtimes = None,
    json: Annotated[Path | None, typer.Option(help="Write the figures to this file too.")] = None,
) -> None:
    """Time artifacts one after the other: loading, single calls, memory. Judges no numbers.

    Exit status: 0 all were timed, 1 one was not.
    """
    from verify import live

    found = bench(
        *(bundles or []),
        runtimes=runtime,
        on_done=lambda one: typer.echo(f"timed {one.model} in {one.runtime}", err=True),
    )
    live.show_bench(found)
    if json:
        live.write_bench(found, json)
    raise typer.Exit(1 if not found or any(one.error for one in found) else 0)


@app.command("diagnose")
def _diagnose(
    bundle: Annotated[Path, typer.Argument(help="The bundle.")],
    runtime: Annotated[str, typer.Option(help="The runtime that gives other numbers.")],
    format: Annotated[str, typer.Option(help="Only this format.")] = "",  # noqa: A002
    case: Annotated[str, typer.Option(help="Only this case, such as batch-7.")] = "",
) -> None:
    """Find the first tensor inside a model at which a runtime leaves the reference.

    Exit status: 0 none leaves it, 1 one does, or the runtime refuses the model.
    """
    from verify import live

    agree = [
        live.show_diagnosis(diagnosis)
        for diagnosis in diagnose(bundle, runtime, format=format, case=case)
    ]
    raise typer.Exit(0 if all(agree) and agree else 1)


@app.command("publish")
def _publish(
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
    address = publish(
        bundle, destination, version=version, sign_key=sign_key, unverified=unverified
    )
    typer.echo(f"published {address}")


@app.command("show")
def _show(bundles: Paths = None) -> None:
    """Print what bundles hold: signatures, traces, artifacts and their sizes."""
    from bundle.bundle import Bundle
    from bundle.show import describe
    from verify.run import find

    for path in bundles or find(ARTIFACTS):
        typer.echo("\n".join(describe(Bundle.peek(path))))


@app.command("runtimes")
def _runtimes() -> None:
    """List the runtimes: what can run here, what is absent, and how to get it."""
    from verify import live
    from verify.runtimes import table

    live.show_runtimes(table())


def _start_tensorflow() -> None:
    """Said, for it takes seconds."""
    typer.echo("starting TensorFlow", err=True)
    from export.start import start

    start()


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
