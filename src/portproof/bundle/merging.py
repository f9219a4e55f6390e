"""Reports of one bundle from several hosts -> one report, in which every cell names its host."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from portproof.bundle.errors import UsageError
from portproof.bundle.report import Environment, Report, joined

# The parts of a report that are of one host.
_OF_HOST = ("performance", "not_run", "graph_errors", "cells")


def merged(reports: Mapping[str, Report], *, each: bool = False) -> Report:
    """One report of several hosts.

    A host is known by its name and what machine it is. Where two machines have one name, the later
    one gets a number. What one machine ran more than once counts as the last report has it. Targets
    are those of all reports together; where one of them has none, every runtime counts.

    Args:
        reports: The reports by where they are from, the oldest first. They may be merged ones.
        each: Whether what is absent on one host counts though another one ran it.

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
    items: dict[str, list[Any]] = {name: [] for name in _OF_HOST}
    for host, own in parts.items():
        last = _last(own)
        for name in _OF_HOST:
            items[name] += _newest(name, host, own, last)
    items["cells"] = _side_by_side(items["cells"] if each else _without_absent(items["cells"]))
    update: dict[str, Any] = {
        **items,
        "targets": _targets(list(reports.values())),
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
    """The name of a host: that of the same machine, or one that no other machine has."""
    name = re.sub(r" \(\d+\)$", "", environment.host) or "host"
    names = [name, *(f"{name} ({number})" for number in range(2, len(known) + 2))]
    same = (n for n in names if n in known and _machine(known[n]) == _machine(environment))
    free = next(n for n in names if n not in known)
    # Of a machine without a name nobody knows whether it is the same.
    return next(same, free) if environment.host else free


def _machine(environment: Environment) -> tuple[str, ...]:
    return environment.platform, environment.processor, environment.device


def _targets(reports: Sequence[Report]) -> dict[str, tuple[str, ...]]:
    """By model, the targets of all reports; of one that has none, every runtime counts."""
    of_model: dict[str, list[tuple[str, ...]]] = {}
    for report in reports:
        for model in report.bundle:
            of_model.setdefault(model, []).append(report.targets.get(model, ()))
    return {
        model: tuple(dict.fromkeys(name for names in each for name in names))
        for model, each in of_model.items()
        if all(each)
    }


def _both(old: Environment | None, new: Environment) -> Environment:
    """A host that was verified on twice, with what ran either time."""
    runtimes = {**(old.runtimes if old else {}), **new.runtimes}
    return new.model_copy(update={"runtimes": runtimes})


def _last(reports: Sequence[Report]) -> dict[tuple[str, ...], int]:
    """Which of one host's reports counts for what was run, by what was run: the last one."""
    last: dict[tuple[str, ...], int] = {}
    for number, report in enumerate(reports):
        for cell in report.cells:
            if cell.verdict != "absent" or _run(cell) not in last:
                last[_run(cell)] = number
    return last


def _newest(
    name: str, host: str, reports: Sequence[Report], last: Mapping[tuple[str, ...], int]
) -> Iterator[Any]:
    """What one host's reports hold of one kind, as far as they count."""
    for number, report in enumerate(reports):
        for item in getattr(report, name):
            if last.get(_run(item), number) == number:
                yield item.model_copy(update={"host": host})


def _run(item: Any) -> tuple[str, ...]:
    """A signature of an artifact in a runtime."""
    full_format = getattr(item, "full_format", item.format)
    return item.model, full_format, item.runtime, item.signature


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
