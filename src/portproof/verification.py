"""Paths and addresses -> Report, written beside each bundle: the one place that runs all of it."""

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from portproof.bundle import temporary
from portproof.bundle.bundle import Bundle
from portproof.bundle.errors import BundleError, PortproofError, UsageError, described, needs_extra
from portproof.bundle.manifest import is_training
from portproof.bundle.merging import merged
from portproof.bundle.report import Report
from portproof.bundle.text import printable
from portproof.comparing.floors import Floor
from portproof.publishing.stores import FETCH_SECONDS, fetched, is_address
from portproof.quiet import check_tensorflow, start_tensorflow
from portproof.reporting.files import write_beside_bundles
from portproof.runtimes.listing import runtime_states
from portproof.runtimes.process import Limits
from portproof.runtimes.runtime import Runtime
from portproof.runtimes.setup import set_up_named
from portproof.runtimes.ssh import connect
from portproof.runtimes.table import select
from portproof.sandbox.sandbox import Sandbox, obstacle, run_module, sandbox
from portproof.verifying.first_look import check_ops
from portproof.verifying.scheduling import EDGE_SHARE, OnCell, OnRuntime, run_cells

if TYPE_CHECKING:
    from portproof.workers.verifying import WorkerResults

Log = Callable[[str], None]
# Seconds that making the test vectors again may take, where nobody says how many.
_RECOMPUTE_SECONDS = 3600.0
# Of what it prints meanwhile, lines that are kept.
_LINES = 100


@dataclass(frozen=True)
class VerifyOptions:
    """What a person asks for.

    Attributes:
        runtimes: The names of the only runtimes to use; empty: all that are here.
        every_version: Whether to use all that are here at every version that was set up too.
        formats: The full names of the only formats to run; empty: all.
        servers: URLs of running TensorFlow Servings.
        hosts: Machines to run on instead of this one, as ssh takes them.
        scheduler: The address of a Dask scheduler, whose workers run all of it; empty: none.
        limits: What each runtime may use.
        total_limit: Seconds for all of it; None: in proportion to what there is to run.
        strict: Whether edge cases count for the exit status.
        edge: Whether to run all edge cases, however long they take.
        targets: By model, the runtimes that it ships to.
        floors: By model and variant, the floors that are not the default ones.
        recompute: Whether to make the test vectors again, and refuse a bundle whose own differ.
        key: The public key by whose owner published bundles must be signed.
        trust: Whether to run artifacts outside of a sandbox.
    """

    runtimes: Sequence[str] = ()
    every_version: bool = False
    formats: Sequence[str] = ()
    servers: Sequence[str] = ()
    hosts: Sequence[str] = ()
    scheduler: str = ""
    limits: Limits = field(default_factory=Limits)
    total_limit: float | None = None
    strict: bool = False
    edge: bool = False
    targets: Mapping[str, Sequence[str]] = field(default_factory=dict)
    floors: Mapping[str, Mapping[str, Floor]] = field(default_factory=dict)
    recompute: bool = False
    key: Path | None = None
    trust: bool = False


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
    if options.hosts and options.scheduler:
        raise UsageError("--on and --scheduler are two ways to run elsewhere: give one.")
    if options.servers and (options.hosts or options.scheduler):
        raise UsageError("--serving is asked from here: leave out --on and --scheduler.")
    if options.servers and len(names) != 1:
        raise UsageError("--serving is the URL of one model: name the bundle that it serves.")
    chosen = list(options.runtimes)
    if options.every_version and not chosen:
        chosen = [state.name for state in runtime_states()]
    runtimes = _narrowed(select(chosen, list(options.servers)), options.formats)
    with ExitStack() as stack:
        missing = "" if options.trust else obstacle()
        confined = None if options.trust or missing else stack.enter_context(sandbox())
        opening = _Opening(options, stack, confined, missing, callbacks.log)
        opened, refused = opening.all(names)
        bundles = list(opened.values())
        # A server that was named is requested too, though it excludes no other runtime.
        served = [runtime.name for runtime in runtimes if "serving" in runtime.options]
        requested = list(dict.fromkeys([*options.runtimes, *served]))
        run = partial(
            run_cells,
            bundles,
            limits=options.limits,
            total_limit=options.total_limit,
            strict=options.strict,
            edge_share=math.inf if options.edge else EDGE_SHARE,
            targets=options.targets,
            floors=options.floors,
            sandbox=confined,
            on_cell=callbacks.cell,
            on_runtime=callbacks.runtime,
        )
        if len({bundle.manifest.model for bundle in bundles}) < len(bundles):
            raise UsageError("two of the bundles are of one model: verify them one by one.")
        elsewhere = bool((options.hosts or options.scheduler) and bundles)
        if elsewhere and options.hosts:
            hosts = [connect(address) for address in options.hosts]
            of_hosts = {h.address: h.report(run(h.runtimes(runtimes))) for h in hosts}
            report = merged(of_hosts, each=True)
        elif elsewhere:
            results = _by_workers(opened, runtimes, options, callbacks)
            refused |= results.refused
            requested = list(dict.fromkeys([*requested, *sorted(results.lost)]))
            report = merged(results.reports) if results.reports else run_cells([], [])
        else:
            report = run(set_up_named(runtimes, requested, callbacks.log) if bundles else runtimes)
        unknown = {} if options.runtimes or options.formats else _unknown_formats(bundles, runtimes)
        update = {
            "unknown_formats": unknown,
            "refused": refused,
            "requested": tuple(requested),
            "unvouched": tuple(opening.unvouched),
        }
        report = report.model_copy(update=update).finished()
        run_here = [bundle for name, bundle in opened.items() if name not in refused]
        unwritten = write_beside_bundles(report, run_here, keep_others=not elsewhere)
        return report.model_copy(update={"unwritten": unwritten})


def _by_workers(
    bundles: Mapping[str, Bundle],
    runtimes: Sequence[Runtime],
    options: VerifyOptions,
    callbacks: Callbacks,
) -> "WorkerResults":
    """Have the workers of a Dask scheduler run all of it."""
    with needs_extra("dask"):
        from portproof.workers.task import Options
        from portproof.workers.verifying import verify_on_workers
    return verify_on_workers(
        options.scheduler,
        bundles,
        runtimes,
        Options(
            formats=options.formats,
            request=options.limits.request,
            memory=options.limits.memory,
            strict=options.strict,
            edge_share=math.inf if options.edge else EDGE_SHARE,
            targets=options.targets,
            floors=options.floors,
            trust=options.trust,
        ),
        options.total_limit,
        callbacks.cell,
        callbacks.runtime,
    )


def _narrowed(runtimes: Sequence[Runtime], formats: Sequence[str]) -> Sequence[Runtime]:
    """The runtimes with some of their formats alone, where only some are wanted."""
    if not formats:
        return runtimes
    narrowed = [replace(r, formats=tuple(f for f in r.formats if f in formats)) for r in runtimes]
    return [runtime for runtime in narrowed if runtime.formats]


@dataclass
class _Opening:
    """Opens bundles by path and address: what is not as it should be is refused by itself.

    Attributes:
        options: What the person asked for.
        stack: What keeps fetched bundles until they have been run.
        confined: The sandbox, if there is one.
        obstacle: Why there is none though the person did not ask for that.
        log: Called with each step.
        unvouched: The models of fetched bundles whose test vectors nobody vouches for.
    """

    options: VerifyOptions
    stack: ExitStack
    confined: Sandbox | None
    obstacle: str
    log: Log
    unvouched: list[str] = field(default_factory=list)

    def all(self, names: Sequence[str]) -> tuple[dict[str, Bundle], dict[str, str]]:
        """By name the bundles, and why one is refused."""
        bundles: dict[str, Bundle] = {}
        refused: dict[str, str] = {}
        for name in names:
            try:
                bundle = self._fetched(name) if is_address(name) else self._opened(name)
                if is_address(name):
                    _check_model(bundle, list(bundles.values()))
                bundles[name] = bundle
            # A server that is not there, a full disk, a link to itself: the others are verified.
            except (BundleError, OSError, RuntimeError) as error:
                refused[printable(name)] = _told(name, error)
            except UsageError as error:
                if len(names) == 1:
                    raise
                refused[printable(name)] = _told(name, error)
        return bundles, refused

    def _fetched(self, address: str) -> Bundle:
        """A stranger's, unless the person has the key of who signed it."""
        options = self.options
        if self.obstacle:
            raise BundleError(
                f"it would run without a sandbox, for {self.obstacle}. If you trust who published "
                "it, give --trust."
            )
        limit = options.total_limit or FETCH_SECONDS
        bundle = self._opened(self.stack.enter_context(fetched(address, options.key, limit)))
        if not (options.key or options.trust):
            check_ops(bundle)
        trained = any(map(is_training, bundle.manifest.signatures))  # which is not recomputed
        if not options.key and (trained or not options.recompute):
            self.unvouched.append(bundle.manifest.model)
        return bundle

    def _opened(self, path: str | Path) -> Bundle:
        bundle = Bundle.open(path)
        if self.confined:
            bundle = self.confined.admitted(bundle)
        if self.options.recompute:
            limit = self.options.total_limit or _RECOMPUTE_SECONDS
            _check_vectors(bundle, self.confined is not None, limit, self.log)
        return bundle


def _check_model(bundle: Bundle, others: Sequence[Bundle]) -> None:
    """A stranger names a model as they like: as the person's own, too."""
    if bundle.manifest.model in {other.manifest.model for other in others}:
        raise BundleError(f"it is of {bundle.manifest.model}, as another of these bundles.")


def _told(name: str, error: Exception) -> str:
    """Why a bundle is refused, in a line."""
    reason = str(error) if isinstance(error, PortproofError) else described(error)
    return printable(f"{name}: {reason}" if is_address(name) else reason)


def _check_vectors(bundle: Bundle, confined: bool, limit: float, log: Log) -> None:
    """Make the test vectors again, with the SavedModel of whoever made the bundle."""
    check_tensorflow()
    if not confined:
        start_tensorflow()
        from portproof.vectors.recomputing import check_vectors

        check_vectors(bundle, log)
        return
    lines: deque[str] = deque(maxlen=_LINES)
    with temporary.own_folder() as folder:
        status = run_module(
            "portproof.vectors",
            [str(bundle.path.absolute())],
            readable=[bundle.path],
            folder=folder,
            seconds=limit,
            on_line=lines.append,
        )
    if status:
        reason = lines[-1] if lines else "it ended without a word"
        raise BundleError(f"{bundle.path}: its test vectors cannot be made again: {reason}")
    for line in lines:
        log(line)


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
