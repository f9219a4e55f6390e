"""What `portproof verify` shows in a terminal; plain and quiet when piped."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import RootModel
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from bundle import atomic
from verify import diagnosis_text, github, table, units
from verify.diagnose import Diagnosis
from verify.performance import Performance
from verify.report import Cell, Report
from verify.runtimes.runtime import Runtime

_UNBROKEN = 1000  # columns


def _print(render: Callable[[int], RenderableType]) -> None:
    """To standard output. A pipe has no width, so there no line is broken, nor filled up."""
    console = Console(highlight=False)
    if console.is_terminal:
        console.print(render(console.width))
        return
    plain = Console(highlight=False, width=_UNBROKEN)
    with plain.capture() as captured:
        plain.print(render(_UNBROKEN))
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))


@contextmanager
def progress(*, quiet: bool = False, verbose: bool = False) -> Iterator[Callable[[Cell], None]]:
    """The tables, filling as verdicts arrive; in a terminal alone, and gone at the end.

    `verbose` prints a line for each verdict instead, also into a pipe; `quiet` prints nothing.
    """
    console = Console(highlight=False)
    if quiet or verbose:
        yield _print_cell if verbose else lambda _: None
        return
    if not console.is_terminal:
        yield lambda _: None
        return
    cells: list[Cell] = []

    def so_far() -> RenderableType:
        said = f"{len(cells)} verdicts so far" if cells else "starting the runtimes"
        return Group(*table.tables(list(cells), console.width), Text(said, "dim"))

    with Live(get_renderable=so_far, console=console, transient=True, refresh_per_second=4):
        yield cells.append


def _print_cell(cell: Cell) -> None:
    said = f"{cell.verdict:<9} {cell.model} {cell.full_format} in {cell.runtime}, "
    said += f"{cell.signature}.{cell.output}, {cell.regime}"
    took = "" if cell.seconds is None else f" ({cell.seconds:.2g} s)"
    print(said + took + (f": {cell.detail}" if cell.detail else ""), flush=True)


def show(report: Report, *, quiet: bool = False) -> None:
    """The tables, and what needs words; `quiet` leaves what is not proven, and the last line."""
    render = table.render_short if quiet else table.render
    _print(lambda width: render(report, width))


def show_bench(found: Sequence[Performance]) -> None:
    """A row for each artifact and runtime."""
    rows = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("artifact", "runtime", "load", "one row", "own data", "memory"):
        rows.add_column(heading)
    for one in found:
        name = f"{one.model} {one.full_format} {one.signature}"
        if one.error:
            rows.add_row(name, one.runtime, Text(f"failed: {one.error}", "red"))
            continue
        first, *rest = one.timings
        own = f"{rest[0].rows} rows: {units.spread(rest[0])}" if rest else ""
        memory = units.binary(one.memory)
        rows.add_row(name, one.runtime, units.seconds(one.load), units.spread(first), own, memory)
    _print(lambda _: rows)


def show_diagnosis(diagnosis: Diagnosis) -> bool:
    """Print one; whether nothing leaves the reference."""
    _print(lambda _: diagnosis_text.render(diagnosis))
    return diagnosis.agrees


def write_bench(found: Sequence[Performance], path: Path) -> None:
    atomic.write_text(
        path, RootModel[Sequence[Performance]](found).model_dump_json(indent=2) + "\n"
    )


def write(report: Report, *, json: Path | None, junit: Path | None) -> None:
    """The report for programs: in the files that were asked for, and to the job that this is."""
    if json:
        atomic.write_text(json, report.to_json())
    if junit:
        from verify.junit import render

        atomic.write_text(junit, render(report))
    if github.is_here():
        print("\n".join(github.annotations(report)))
        github.write_summary(report)


def show_runtimes(runtimes: Sequence[Runtime]) -> None:
    """A row for each runtime: its formats, and whether it is here or how to get it."""
    rows = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("runtime", "formats", "state"):
        rows.add_column(heading)
    for runtime in runtimes:
        missing = runtime.missing()
        state = f"absent; to have it: {missing}" if missing else "here"
        # As Text, for the brackets of `portproof[jax]` would be taken for markup.
        rows.add_row(runtime.name, ", ".join(runtime.formats), Text(state))
    _print(lambda _: rows)
