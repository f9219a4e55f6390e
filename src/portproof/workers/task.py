"""One task of a worker: a bundle in a runtime -> a report of this host.

What it does is what `portproof verify` does here: `run_cells`, with the runner in a sandbox.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from portproof.bundle.bundle import Bundle
from portproof.bundle.errors import BundleError, PortproofError, described
from portproof.bundle.report import Report
from portproof.bundle.text import printable
from portproof.comparing.floors import Floor
from portproof.runtimes.process import Limits
from portproof.runtimes.table import select
from portproof.sandbox.sandbox import obstacle, sandbox
from portproof.verifying.scheduling import run_cells
from portproof.workers.bundles import STORE, BundleSource


@dataclass(frozen=True)
class Options:
    """What a person asks for, of every task.

    Attributes:
        formats: The full names of the only formats to run; empty: all.
        request: Seconds for one call of a model.
        memory: GiB for one runtime.
        strict: Whether edge cases count.
        edge_share: See `run_cells`.
        targets: By model, the runtimes that it ships to.
        floors: By model and variant, the floors that are not the default ones.
        trust: Whether to run without a sandbox.
    """

    formats: Sequence[str] = ()
    request: float = 120.0
    memory: float = 8.0
    strict: bool = False
    edge_share: float = 0.0
    targets: Mapping[str, Sequence[str]] = field(default_factory=dict)
    floors: Mapping[str, Mapping[str, Floor]] = field(default_factory=dict)
    trust: bool = False


@dataclass(frozen=True)
class Outcome:
    """What came of a task.

    Attributes:
        kind: What `text` is: a report as JSON; or the reason why the bundle is refused, or the
            worker cannot run this.
        text: That.
    """

    kind: Literal["report", "refused", "unable"]
    text: str


def run_task(source: BundleSource, runtime: str, options: Options) -> Outcome:
    """Run a bundle in a runtime of this machine."""
    try:
        if not options.trust and (reason := obstacle()):
            return Outcome("unable", f"there can be no sandbox, for {reason}")
        with STORE.bundle(source) as bundle:
            return Outcome("report", _report(bundle, runtime, options).to_json())
    except BundleError as error:
        return Outcome("refused", str(error))
    except (PortproofError, OSError) as error:
        text = str(error) if isinstance(error, PortproofError) else described(error)
        return Outcome("unable", printable(text))


def _report(bundle: Bundle, runtime: str, options: Options) -> Report:
    [chosen] = select([runtime], [])
    if options.formats:
        formats = tuple(name for name in chosen.formats if name in options.formats)
        chosen = replace(chosen, formats=formats)
    with sandbox() as box:
        confined = None if options.trust else box
        return run_cells(
            [confined.admitted(bundle) if confined else bundle],
            [chosen],
            limits=Limits(request=options.request, memory=options.memory),
            strict=options.strict,
            edge_share=options.edge_share,
            targets=options.targets,
            floors=options.floors,
            sandbox=confined,
        )
