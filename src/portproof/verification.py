"""Paths and addresses -> Report, written beside each bundle: the one place that runs all of it."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from portproof.bundle.bundle import Bundle
from portproof.bundle.errors import BundleError, UsageError
from portproof.bundle.report import Report
from portproof.comparing.floors import Floor
from portproof.publishing.stores import fetched, is_address
from portproof.quiet import check_tensorflow, start_tensorflow
from portproof.reporting.files import write_beside_bundles
from portproof.runtimes.process import Limits
from portproof.runtimes.runtime import Runtime
from portproof.runtimes.setup import set_up_named
from portproof.runtimes.table import select
from portproof.verifying.scheduling import OnCell, OnRuntime, run_cells


@dataclass(frozen=True)
class VerifyOptions:
    """What a person asks for.

    Attributes:
        runtimes: The names of the only runtimes to use; empty: all that are here.
        servers: URLs of running TensorFlow Servings.
        limits: What each runtime may use.
        strict: Whether edge cases count for the exit status.
        edge: Whether to run all edge cases, however long they take.
        targets: By model, the runtimes that it ships to.
        floors: By model and variant, the floors that are not the default ones.
        recompute: Whether to make the test vectors again, and refuse a bundle whose own differ.
        key: The public key by whose owner published bundles must be signed.
    """

    runtimes: Sequence[str] = ()
    servers: Sequence[str] = ()
    limits: Limits = field(default_factory=Limits)
    strict: bool = False
    edge: bool = False
    targets: Mapping[str, Sequence[str]] = field(default_factory=dict)
    floors: Mapping[str, Mapping[str, Floor]] = field(default_factory=dict)
    recompute: bool = False
    key: Path | None = None


@dataclass(frozen=True)
class Callbacks:
    """What is called while a verification runs, from other threads, one call at a time.

    Attributes:
        cell: With each cell as it is judged.
        runtime: With each runtime's name and cells, as it ends.
        log: With each step of setting up a runtime.
    """

    cell: OnCell = lambda _: None
    runtime: OnRuntime = lambda _, __: None
    log: Callable[[str], None] = lambda _: None


def verify_bundles(names: Sequence[str], options: VerifyOptions, callbacks: Callbacks) -> Report:
    """Verify the bundles of these paths and addresses.

    A bundle that is not what was exported, or published, is in the report as refused; the others
    are verified. A runtime that was named is set up first, where it is not here.
    """
    if options.key and not all(is_address(name) for name in names):
        raise UsageError("--key is for what was published: give its address, such as s3://...")
    if options.servers and len(names) != 1:
        raise UsageError("--serving is the URL of one model: name the bundle that it serves.")
    runtimes = select(list(options.runtimes), list(options.servers))
    with ExitStack() as stack:
        bundles, refused = _open(names, options, callbacks.log, stack)
        # A server that was named is requested too, though it excludes no other runtime.
        served = [runtime.name for runtime in runtimes if "serving" in runtime.options]
        requested = list(dict.fromkeys([*options.runtimes, *served]))
        report = run_cells(
            bundles,
            set_up_named(runtimes, requested, callbacks.log) if bundles else runtimes,
            requested=requested,
            refused=refused,
            unknown_formats={} if options.runtimes else _unknown_formats(bundles, runtimes),
            limits=options.limits,
            strict=options.strict,
            edge=options.edge,
            targets=options.targets,
            floors=options.floors,
            on_cell=callbacks.cell,
            on_runtime=callbacks.runtime,
        )
        return report.model_copy(update={"unwritten": write_beside_bundles(report, bundles)})


def _open(
    names: Sequence[str], options: VerifyOptions, log: Callable[[str], None], stack: ExitStack
) -> tuple[list[Bundle], dict[str, str]]:
    """The bundles, and by name why one is refused."""
    bundles, refused = [], {}
    for name in names:
        try:
            address = is_address(name)
            path = stack.enter_context(fetched(name, options.key)) if address else Path(name)
            bundle = Bundle.open(path)
            if options.recompute:
                _check_vectors(bundle, log)
            bundles.append(bundle)
        except BundleError as error:
            refused[name] = f"{name}: {error}" if is_address(name) else str(error)
    return bundles, refused


def _check_vectors(bundle: Bundle, log: Callable[[str], None]) -> None:
    check_tensorflow()
    start_tensorflow()
    from portproof.vectors.recomputing import check_vectors

    check_vectors(bundle, log)


def _unknown_formats(
    bundles: Sequence[Bundle], runtimes: Sequence[Runtime]
) -> dict[str, list[str]]:
    """Artifacts that would be skipped in silence, because no runtime runs their format."""
    known = {name for runtime in runtimes for name in runtime.formats}
    unknown = {
        bundle.manifest.model: [a.name for a in bundle.manifest.artifacts if a.name not in known]
        for bundle in bundles
    }
    return {model: names for model, names in unknown.items() if names}
