"""Reports of one bundle from several hosts -> one report, in which every cell names its host."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from portproof.bundle.errors import UsageError
from portproof.bundle.report import Environment, Report, joined

# The parts of a report that are of one host.
_OF_HOST = ("performance", "not_run", "graph_errors", "cells")


def merged(reports: Mapping[str, Report]) -> Report:
    """One report of several hosts.

    A host is known by its name and what machine it is. Where two machines have one name, the later
    one gets a number. Of one machine that was verified more than once, each runtime's cells are
    those of the last report.

    Args:
        reports: The reports by where they are from, the oldest first. They may be merged ones.

    Raises UsageError where there is none, where two are of other files, or where one was
    interrupted or refused its bundle.
    """
    if not reports:
        raise UsageError("name the reports to merge.")
    digests: dict[str, str] = {}
    for name, report in reports.items():
        _check(name, report, digests)
    hosts: dict[str, Environment] = {}
    parts: dict[str, list[Report]] = {}
    for report in reports.values():
        for environment, part in _by_host(report):
            host = _named(environment, hosts)
            hosts[host] = _both(hosts.get(host), environment)
            parts.setdefault(host, []).append(part)
    together = joined(list(reports.values()))
    items = {
        name: [item for host, own in parts.items() for item in _newest(name, host, own)]
        for name in _OF_HOST
    }
    items["cells"] = _side_by_side(_without_absent(items["cells"]))
    update: dict[str, Any] = {
        **items,
        "hosts": hosts,
        "environment": next(iter(hosts.values())),
        "curves": list(dict.fromkeys(together.curves)),
        "requested": tuple(dict.fromkeys(n for r in reports.values() for n in r.requested)),
        "strict": any(report.strict for report in reports.values()),
        "unwritten": {},
        "unvouched": tuple(dict.fromkeys(together.unvouched)),
    }
    return together.model_copy(update=update).finished()


def _check(name: str, report: Report, digests: dict[str, str]) -> None:
    if report.refused:
        reason = next(iter(report.refused.values()))
        raise UsageError(f"{name} is of a bundle that was refused: {reason}")
    if report.interrupted:
        raise UsageError(f"{name} is of a verification that was interrupted: verify it again.")
    for model, digest in report.bundle.items():
        if digests.setdefault(model, digest) != digest:
            raise UsageError(
                f"{name} is of another bundle of {model} ({digest[:16]}) than the others "
                f"({digests[model][:16]}): only reports of the same files can be merged."
            )


def _by_host(report: Report) -> Iterator[tuple[Environment, Report]]:
    """A report's hosts, each with what of the report is its own."""
    if not report.hosts:
        yield report.environment, report
    for host, environment in report.hosts.items():
        own = {
            name: [item for item in getattr(report, name) if item.host == host] for name in _OF_HOST
        }
        named = environment.model_copy(update={"host": host})
        yield named, report.model_copy(update=own)


def _named(environment: Environment, known: Mapping[str, Environment]) -> str:
    """The name of a host, which is not that of another machine."""
    name = environment.host or "host"
    for number in range(1, len(known) + 2):
        candidate = name if number == 1 else f"{name} ({number})"
        if candidate not in known or _machine(known[candidate]) == _machine(environment):
            return candidate
    raise AssertionError("one more number than there are hosts is free")


def _machine(environment: Environment) -> tuple[str, str]:
    return environment.platform, environment.processor


def _both(old: Environment | None, new: Environment) -> Environment:
    """A host that was verified on twice, with what ran either time."""
    runtimes = {**(old.runtimes if old else {}), **new.runtimes}
    return new.model_copy(update={"runtimes": runtimes})


def _newest(name: str, host: str, reports: Sequence[Report]) -> Iterator[Any]:
    """What one host's reports hold of one kind; of a runtime, what the last one has that ran it."""
    last: dict[tuple[str, str], int] = {}
    for number, report in enumerate(reports):
        for cell in report.cells:
            if cell.verdict != "absent" or (cell.model, cell.runtime) not in last:
                last[cell.model, cell.runtime] = number
    for number, report in enumerate(reports):
        for item in getattr(report, name):
            if last.get((item.model, item.runtime), number) == number:
                yield item.model_copy(update={"host": host})


def _without_absent(cells: Iterable[Any]) -> list[Any]:
    """What is absent on one host and was run on another is not absent."""
    cells = list(cells)
    run = {_what(cell) for cell in cells if cell.verdict != "absent"}
    return [cell for cell in cells if cell.verdict != "absent" or _what(cell) not in run]


def _what(cell: Any) -> tuple[Any, ...]:
    return cell.artifact, cell.runtime, cell.signature, cell.output, cell.regime


def _side_by_side(cells: Sequence[Any]) -> list[Any]:
    """By runtime, and for each the hosts in their order."""
    order = {name: n for n, name in enumerate(dict.fromkeys(cell.runtime for cell in cells))}
    return sorted(cells, key=lambda cell: order[cell.runtime])
