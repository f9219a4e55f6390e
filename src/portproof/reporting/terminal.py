"""Prints reports, timings, diagnoses and runtimes: in colour to a terminal, plain to a pipe."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from portproof.bundle.report import Performance, Report
from portproof.reporting import changes_text, diagnosis_text, table, units
from portproof.reporting.changes import Comparison
from portproof.reporting.printing import console, is_terminal, say
from portproof.runtimes.environments.environment import MadeEnvironment, environments_folder
from portproof.runtimes.listing import RuntimeState
from portproof.verifying.diagnosis import Diagnosis

_UNBROKEN = 1000  # columns


def print_report(report: Report, *, quiet: bool = False, edge: bool = False) -> None:
    """See `portproof.print_report`, which documents it."""
    render = table.render_short if quiet else table.render
    _print(lambda width: render(report, width, edge=edge))


def print_performance(timed: Sequence[Performance]) -> None:
    """A row for each artifact and runtime."""
    rows = _rows("artifact", "runtime", "load", "one row", "own data", "memory")
    for performance in timed:
        name = f"{performance.model} {performance.full_format} {performance.signature}"
        if performance.error:
            rows.add_row(name, performance.place, Text(f"failed: {performance.error}", "red"))
            continue
        first, *others = performance.timings
        batch = f"{others[0].rows} rows: {units.spread(others[0])}" if others else ""
        memory = units.binary(performance.memory)
        rows.add_row(
            name,
            performance.place,
            units.seconds(performance.load),
            units.spread(first),
            batch,
            memory,
        )
    _print(lambda _: rows)


def print_diagnosis(diagnosis: Diagnosis) -> None:
    _print(lambda _: diagnosis_text.render(diagnosis))


def print_comparison(comparison: Comparison) -> None:
    _print(lambda _: changes_text.render(comparison))


def print_runtimes(states: Sequence[RuntimeState]) -> None:
    """A row for each runtime and version: where it is, or how to get it."""
    rows = _rows("runtime", "version", "size", "where")
    for state in states:
        if state.missing:
            where = f"absent; to have it: {state.missing}"
        elif state.folder:
            where = state.folder.name
        else:
            where = "this Python" if state.version else "here"
        # Below the default version, others of the same runtime.
        name = "" if "@" in state.name else state.name
        rows.add_row(name, state.version, _size(state.size), Text(where))
    _print(lambda _: Group(rows, *_place(any(state.folder for state in states))))


def print_environments(made: Sequence[MadeEnvironment]) -> None:
    """A row for each environment in the cache, and their size in all."""
    if not made:
        say("There are no environments: make them with `portproof setup`.")
        return
    rows = _rows("environment", "version", "size", "where")
    for environment in made:
        size = _size(environment.size)
        rows.add_row(environment.name, environment.version, size, environment.folder.name)
    rows.add_row("in all", "", _size(sum(environment.size for environment in made)), "")
    _print(lambda _: Group(rows, *_place(True)))


def _size(count: int) -> str:
    return units.binary(count) if count else ""


def _place(any_environment: bool) -> list[Text]:
    """Where all environments are; `~` is the user's folder."""
    folder, home = environments_folder(), Path.home()
    short = Path("~", folder.relative_to(home)) if folder.is_relative_to(home) else folder
    return [Text(f"Environments are in {short}.")] if any_environment else []


def _rows(*headings: str) -> Table:
    rows = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in headings:
        rows.add_column(heading)
    return rows


def _print(render: Callable[[int], RenderableType]) -> None:
    """To standard output. A pipe has no width, so there no line is broken, nor filled up."""
    terminal = console()
    if is_terminal(sys.stdout):
        terminal.print(render(terminal.width))
        return
    unbroken = console(width=_UNBROKEN)
    with unbroken.capture() as captured:
        unbroken.print(render(_UNBROKEN))
    lines = "\n".join(line.rstrip() for line in captured.get().splitlines())
    say(lines, coloured=unbroken.is_terminal)  # as FORCE_COLOR asks for
