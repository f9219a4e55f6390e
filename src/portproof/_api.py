"""The public functions. Each imports what it needs when it is called: TensorFlow takes seconds."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from os.path import realpath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from portproof.bundle.bundle import Bundle, find_bundles
from portproof.bundle.errors import UsageError
from portproof.bundle.report import Cell, Performance, Report
from portproof.bundle.text import for_terminal
from portproof.quiet import check_tensorflow, start_tensorflow, without_tensorflows_log

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from portproof.bundle.tensors import Infer
    from portproof.comparing.floors import Floor
    from portproof.formats.format import Format
    from portproof.runtimes.protocol import Request
    from portproof.runtimes.runtime import Runtime
    from portproof.sources.source import Source
    from portproof.verifying.diagnosis import Diagnosis

ARTIFACTS = Path("artifacts")
_LOGGER = logging.getLogger("portproof")


@dataclass(frozen=True)
class _Told:
    """Who is told how far a function is."""

    log: Callable[[str], None]
    on_runtime: Callable[[str, Sequence[Cell]], None]


@contextmanager
def _told(
    title: str,
    log: Callable[[str], None] | None,
    on_runtime: Callable[[str, Sequence[Cell]], None] | None = None,
) -> Iterator[_Told]:
    """What the caller gave, else the logger, and in a notebook the place below the cell."""
    from portproof.reporting.notebook import steps

    with steps(title) as shown:

        def tell(line: str) -> None:
            _LOGGER.info("%s", for_terminal(line))
            if shown:
                shown.add(line)

        ended = shown.add_runtime if shown else lambda *_: None
        yield _Told(log or tell, on_runtime or ended)


def _start_tensorflow() -> None:
    """Import what exports, silently where nobody has: a person on JAX has no TensorFlow yet."""
    check_tensorflow()
    keras = sys.modules.get("keras")
    if keras is None or keras.backend.backend() != "tensorflow":
        start_tensorflow()


def make_source(
    model: str | Path | Source | tf.Module | keras.Model,
    *,
    name: str = "",
    signatures: Mapping[str, Any] | Sequence[str] | None = None,
    inputs: Any = None,
    labels: Any = None,
    imports: Sequence[str] = (),
    keras_forms: Mapping[str, keras.Model] | None = None,
    draw_plots: Callable[[Path], None] | None = None,
) -> Source:
    """A model with everything that its export needs to know.

    `export` makes one by itself. Make one to add what only the author of a model can add: a Keras
    form of a `tf.Module`, or plots of the training.

    Args:
        model: A `tf.Module`, a `keras.Model`, a `tf_keras.Model` (Keras 2), the result of
            `tf.saved_model.load`, the path of a `.keras` or `.h5` file or of a SavedModel folder,
            `"package.module:function"` for a function that returns one of these, or a Source. Where
            Keras computes with another backend than TensorFlow (JAX, PyTorch, OpenVINO), the
            references of a `keras.Model` are that backend's.
        name: The model's name; empty: the model's own, or that of its file.
        signatures: The signatures to export of several: their names, or `tf.function`s by name. A
            Keras model has the one signature `serving_default`.
        inputs: Some of the model's own data: an array by input name (the array alone for one
            input, nested like the model's inputs; for several signatures a dict of such dicts),
            or a `tf.data.Dataset` of rows or batches. The first axis is the rows where the
            signature's first dimension is dynamic. Numbers are cast to the signature's dtype: any
            float to another float, integers where all of them fit. Of a dataset the first 48 rows
            are taken. None: inputs are generated from the signature.
        labels: The right class of each row of `inputs`, as integers: an array by output name (the
            array alone for one output). The accuracy of the model and of each artifact is reported.
        imports: Modules to import first, which register a `.keras` file's own layers.
        keras_forms: By signature, a `keras.Model` of stock layers with the same weights and the
            same names of inputs and outputs, for a model that is not one itself.
        draw_plots: Writes plots of the training as PNG files into the folder that it is given.

    Raises:
        ExportError: The model cannot be exported.
        UsageError: The arguments do not fit the model or each other, or TensorFlow is not
            installed.
    """
    _start_tensorflow()
    from portproof.keras2 import provide_keras2
    from portproof.sources import opening

    if isinstance(model, str | Path):
        provide_keras2([model], lambda _: None)
    return opening.make_source(
        model,
        name=name,
        signatures=signatures,
        inputs=inputs,
        labels=labels,
        imports=imports,
        keras_forms=keras_forms,
        draw_plots=draw_plots,
    )


def export(
    model: str | Path | Source | tf.Module | keras.Model,
    path: str | Path | None = None,
    *,
    folder: str | Path = ARTIFACTS,
    signatures: Mapping[str, Any] | Sequence[str] | None = None,
    inputs: Any = None,
    labels: Any = None,
    formats: Sequence[str] | None = None,
    keep_float: Sequence[str] = (),
    imports: Sequence[str] = (),
    log: Callable[[str], None] | None = None,
) -> Bundle:
    """Export a model to every format, with its test vectors, as a bundle.

    Args:
        model: See `make_source`.
        path: The bundle's folder, after which the model is named unless it is a Source; None:
            `folder/NAME`. A bundle that is there is replaced when the
            new one is whole.
        folder: See `path`.
        signatures: See `make_source`.
        inputs: See `make_source`.
        labels: See `make_source`.
        formats: Full names of the only formats to write, such as `"tflite"` or `"tflite int8"`.
            `savedmodel` is always written, because the others are made from it. None: all.
        keep_float: Layers that variants (`int8`, `float16`, `dynamic-range`) keep in floats: their
            names, or for a model without layers the names of scopes or operations in its graph.
            `diagnose` lists the layers by the noise that each adds.
        imports: See `make_source`.
        log: Called with each step, as a line of text. None: the logger `portproof` is, at INFO, and
            in a notebook they are shown below the cell.

    Returns:
        The bundle.

    Raises:
        ExportError: The model cannot be exported, or not to a format that was named.
        UsageError: The arguments are wrong, `path` holds something other than a bundle, or
            TensorFlow is not installed.
    """
    if isinstance(keep_float, str):
        raise UsageError("keep_float is a list of layers: keep_float=[...].")
    check_tensorflow()
    from portproof.formats.converting import converters_for
    from portproof.formats.table import select

    chosen = select(formats)
    # TensorFlow starts there while it starts here.
    with converters_for(chosen), _told("exporting", log) as told:
        _start_tensorflow()
        from portproof.exporting import export_source

        named = "" if path is None else Path(realpath(path)).name
        source = make_source(
            model, name=named, signatures=signatures, inputs=inputs, labels=labels, imports=imports
        )
        if keep_float:
            source = replace(source, keep_float=tuple(keep_float))
        target = Path(folder) / source.name if path is None else path
        with without_tensorflows_log():
            return export_source(source, target, told.log, chosen, formats or ())


def verify(
    *bundles: str | Path,
    runtimes: Sequence[str] | None = None,
    serving: Sequence[str] | None = None,
    on: Sequence[str] | None = None,
    scheduler: str = "",
    time_limit: float = 120.0,
    memory_limit: float = 8.0,
    total_limit: float | None = None,
    strict: bool = False,
    targets: Mapping[str, Sequence[str]] | None = None,
    floors: Mapping[str, Mapping[str, Floor]] | None = None,
    recompute: bool = False,
    edge: bool = False,
    key: str | Path | None = None,
    trust: bool = False,
    on_cell: Callable[[Cell], None] = lambda _: None,
    on_runtime: Callable[[str, Sequence[Cell]], None] | None = None,
    log: Callable[[str], None] | None = None,
) -> Report:
    """Verify bundles in every runtime that is here, and write each one's report beside it.

    Every file is compared with its digest before anything parses it. A bundle that is not what was
    exported is in the report as refused.

    Args:
        bundles: Folders, or addresses at which bundles were published (`s3://...`, `oci://...`);
            none: all bundles in `artifacts`.
        runtimes: Names of the only runtimes to use, at a version where there is one in the name
            (`"litert@1.4.0"`); None: all. One that is named is set up where it is not here.
        serving: URLs of the models in running TensorFlow Servings, `http://...` or `grpc://...`.
        on: Machines to run on instead of this one, as ssh takes them (`"user@board"`); each needs
            Portproof and the runtimes. The report has each machine's cells by its name.
        scheduler: The address of a Dask scheduler, whose workers (`portproof worker`) run all of it
            instead of this machine.
        time_limit: Seconds for one call of a model, after which the runtime is ended and its cell
            is `failed`.
        memory_limit: GiB for a runtime and all that it starts, with the same consequence.
        total_limit: Seconds for all of it, after which what is left is `failed`; None: one minute
            for each signature of an artifact in a runtime, and at least five.
        strict: Whether the regime `edge` counts like the others.
        targets: By model, the runtimes that it ships to. They decide alone: each has to be proven,
            and what another one does is told and does not count.
        floors: By model and variant (`"int8"`), what the variant must keep of the model, where
            that is not the default.
        edge: Whether to run all edge cases, however long they take. They do not count.
        recompute: Whether to make each reference, oracle and bound again from the bundle's
            SavedModel, and refuse a bundle whose test vectors are others. It needs TensorFlow.
        key: A public key in PEM, by whose owner published bundles must be signed.
        trust: Whether to run artifacts outside of the sandbox, with all rights of this process.
        on_cell: Called with each cell as it is judged, from other threads, one call at a time.
        on_runtime: Called in the same way with each runtime's name and cells, as it ends. None: it
            is shown below the cell in a notebook.
        log: Called with each step of setting up a runtime, from other threads. None: see `export`.

    Returns:
        The report. `report.ok` tells whether all is proven.

    Raises:
        UsageError: The arguments are wrong.
    """
    from portproof.runtimes.process import Limits
    from portproof.verification import Callbacks, VerifyOptions, verify_bundles

    options = VerifyOptions(
        runtimes=tuple(runtimes or ()),
        servers=tuple(serving or ()),
        hosts=tuple(on or ()),
        scheduler=scheduler,
        limits=Limits(request=time_limit, memory=memory_limit),
        total_limit=total_limit,
        strict=strict,
        targets=targets or {},
        floors=floors or {},
        recompute=recompute,
        edge=edge,
        key=Path(key) if key else None,
        trust=trust,
    )
    names = [str(bundle) for bundle in bundles or find_bundles(ARTIFACTS)]
    with _told("verifying", log, on_runtime) as told:
        return verify_bundles(names, options, Callbacks(on_cell, told.on_runtime, told.log))


def check(
    file: str | Path,
    against: str | Path = "",
    *,
    inputs: str | Path | None = None,
    names: Mapping[str, str] | None = None,
    signature: str | None = None,
    runtimes: Sequence[str] | None = None,
    imports: Sequence[str] = (),
    folder: str | Path = ARTIFACTS,
    edge: bool = False,
    trust: bool = False,
    on_cell: Callable[[Cell], None] = lambda _: None,
    on_runtime: Callable[[str, Sequence[Cell]], None] | None = None,
    log: Callable[[str], None] | None = None,
) -> Report:
    """Verify a file that another tool wrote against the model that it should be.

    Reference, oracle and bounds are the model's; the file is not touched. What is found is a bundle
    like any other, `folder/NAME.checked`.

    Without a model, the references are what the format's reference kernels give, or what computes
    it on the CPU, and every other runtime is held to them, at each version that was set up. It is
    `close` where the mean error is 72 dB below the output's own size (half of float32's bits), and
    the largest at most 16 times that; of a variant, where it is as far below as its floor. That
    they agree proves nothing of the model that the file was made of, and the report says so.

    Args:
        file: A `.tflite` or `.onnx` file, a folder of TF.js (graph or layers) or of a SavedModel,
            or a `.keras` file.
        against: The model: a `.keras` file, a folder of a SavedModel or
            `"package.module:function"`; empty: nobody has it. A SavedModel and a `.keras` file are
            then held to what they themselves compute in TensorFlow.
        inputs: The model's own data: a `.npz`, `.npy` or `.safetensors` file, by the file's own
            names where there is no model; None: inputs are generated.
        names: The file's names of inputs and outputs, by the model's, where they cannot be matched:
            those of one name are, and else those that only fit in one way.
        signature: The only signature of the model; None: all that both have.
        runtimes: See `verify`.
        imports: See `make_source`.
        folder: The folder of the bundle.
        edge: See `verify`.
        trust: Whether to load the model and the file, and to run the file, outside of the sandbox.
        on_cell: See `verify`.
        on_runtime: See `verify`.
        log: Called with each step, and with whatever is not the same in the file: another name,
            another order of axes, integers in the place of floats. None: see `export`.

    Returns:
        The report.

    Raises:
        ExportError: The model gives no test vectors.
        UsageError: The arguments are wrong, or the file has not the model's inputs and outputs.
    """
    from portproof.checking.alone import check_alone, has_own_original
    from portproof.checking.request import request_of
    from portproof.checking.verifying import check_file
    from portproof.verification import Callbacks, VerifyOptions

    with _told("checking", log, on_runtime) as told:
        if not against and has_own_original(Path(file)):
            told.log(f"{file} is held to itself: what it computes in TensorFlow")
            against = file
        request = request_of(file, against, inputs, names or {}, signature, imports, folder)
        options = VerifyOptions(runtimes=tuple(runtimes or ()), edge=edge, trust=trust)
        callbacks = Callbacks(on_cell, told.on_runtime, told.log)
        if not against:
            return check_alone(request, options, callbacks)
        check_tensorflow()
        return check_file(request, options, callbacks)


def merge(*reports: str | Path) -> Report:
    """Make one report of several of the same bundle, made on different hosts.

    Each cell names its host. Hosts that disagree about an artifact in a runtime are told first, and
    what is wrong on any of them is wrong.

    Args:
        reports: Files that `verify` wrote (`report.json`, `--json`), merged ones too, and folders
            of bundles, for the reports in them; the oldest first. The merged report is written
            beside each bundle that is named.

    Returns:
        The report. A machine that verified the bundle twice is one host: what it ran twice counts
        as the last report has it.

    Raises:
        UsageError: A file is no report, or one of other files than the others.
        BundleError: A bundle is not what was exported.
    """
    from portproof.merging import merge_reports

    return merge_reports([Path(report) for report in reports])


def print_report(report: Report, *, quiet: bool = False, edge: bool = False) -> None:
    """Print a report on one screen a model: tables, what needs action by its cause, the verdict.

    Args:
        report: The report.
        quiet: Whether to print only what is not proven, and the verdict.
        edge: Whether to print edge cases and envelopes too, which do not count.
    """
    from portproof.reporting import terminal

    terminal.print_report(report, quiet=quiet, edge=edge)


def publish(
    bundle: str | Path,
    destination: str,
    *,
    version: str = "",
    sign_key: str | Path | None = None,
    unverified: bool = False,
) -> str:
    """Publish a bundle that is proven.

    Args:
        bundle: The bundle's folder.
        destination: A folder or any URL of fsspec (`s3://bucket/models`), below which the bundle
            is `NAME/VERSION`, or `oci://host/repository:tag`.
        version: The version, which never changes once published; empty: the first 16 digits of the
            bundle's digest.
        sign_key: A private EC key in PEM to sign with; None: do not sign.
        unverified: Whether to publish without a report that proves these files. It is recorded.

    Returns:
        The address of what was published.

    Raises:
        BundleError: The bundle is not what was exported.
        UsageError: The bundle is not proven, or the destination refuses.
    """
    from portproof.publishing.stores import publish_bundle

    key = Path(sign_key) if sign_key else None
    return publish_bundle(bundle, destination, version=version, sign_key=key, unverified=unverified)


def set_up(*runtimes: str, log: Callable[[str], None] | None = None) -> None:
    """Make what runtimes need and is not here: packages, a browser, a compiled program.

    Each environment is in a folder of its own below the user's cache (`$PORTPROOF_CACHE` names
    another), and binds neither this process's packages nor another runtime's. It takes the network
    once. A runtime whose packages are installed in this process's environment needs none.

    Args:
        runtimes: Names, at a version where there is one in the name (`"litert@1.4.0"`); none: all,
            but for those that this machine lacks something for, and `keras-torch` and TensorFlow
            Serving's, which are to be named.
        log: Called with each step, and what was left out, from other threads. None: see `export`.

    Raises:
        SetupError: Something cannot be made. The others are made all the same.
        UsageError: There is no such runtime.
    """
    from portproof.runtimes.setup import set_up_runtimes

    with _told("setting up", log) as told:
        set_up_runtimes(list(runtimes), told.log)


def bench(
    *bundles: str | Path,
    runtimes: Sequence[str] | None = None,
    time_limit: float = 120.0,
    memory_limit: float = 8.0,
    on_performance: Callable[[Performance], None] = lambda _: None,
) -> list[Performance]:
    """Time bundles in every runtime that is here, one artifact after the other.

    Each artifact gets a process of its own. Timed are loading and single calls, of one row and of
    the model's own data, after warming up. What is computed is not judged.

    Args:
        bundles: Folders; none: all bundles in `artifacts`.
        runtimes: See `verify`. One that is named has to be here.
        time_limit: See `verify`.
        memory_limit: See `verify`.
        on_performance: Called with each result as it arrives.

    Returns:
        Load times and latencies in seconds (median, 10th and 90th percentile) and the most memory
        in bytes.

    Raises:
        BundleError: A bundle is not what was exported.
        UsageError: The arguments are wrong, or nothing could be timed.
    """
    from portproof.runtimes.process import Limits
    from portproof.verifying.benchmarking import time_bundles

    limits = Limits(request=time_limit, memory=memory_limit)
    paths = [Path(bundle) for bundle in bundles or find_bundles(ARTIFACTS)]
    return time_bundles(paths, runtimes or [], limits, on_performance)


def diagnose(
    bundle: str | Path,
    runtime: str,
    *,
    format: str = "",  # noqa: A002
    case: str = "",
) -> Iterator[Diagnosis]:
    """Find where inside each of a bundle's artifacts a runtime leaves the reference.

    Args:
        bundle: The bundle's folder.
        runtime: The runtime's name, at a version where there is one in it. It has to be here.
        format: The full name of the only format to diagnose; empty: all that the runtime runs.
        case: The name of the test vector, such as `batch-7`; empty: the first that is wrong, or
            the model's own data.

    Yields:
        A diagnosis for each artifact and signature, as it is found.

    Raises, when the first diagnosis is asked for:
        BundleError: The bundle is not what was exported, or TensorFlow does not give its tensors.
        UsageError: The arguments are wrong, or the runtime shows no tensors from inside.
    """
    from portproof.verifying.diagnosing import diagnose_bundle

    yield from diagnose_bundle(Bundle.open(bundle), runtime, format_=format, case=case)


def add_format(format: Format) -> None:  # noqa: A002
    """Let `export` write a format of one's own too, from now on in this process.

    Args:
        format: The format. One with the same name and variant is replaced.
    """
    from portproof.formats.table import add

    add(format)


def add_runtime(runtime: Runtime) -> None:
    """Let `verify` run artifacts in a runtime of one's own too, from now on in this process.

    Args:
        runtime: The runtime. One with the same name is replaced.
    """
    from portproof.runtimes.table import add

    add(runtime)


def serve(
    versions: dict[str, str],
    load: Callable[[Request], Infer],
    backend: Callable[[], str] = lambda: "",
) -> None:
    """The main loop of a runner in Python: answer requests until standard input ends.

    Args:
        versions: The versions of what the runner drives, by name.
        load: Loads the artifact of a request, and returns a function from named input arrays to
            named output arrays, both by the artifact's own names. The inputs have the signature's
            dtypes and shapes (one row where `by_row` is set), and so must the outputs. It is
            called when a request is for another artifact or signature than the last one, or when
            the last one failed. An exception of either ends in a Refusal with its message.
        backend: Names what has computed; called after each call of the model.
    """
    from portproof.runtimes.python import loop

    loop.serve(versions, load, backend)
