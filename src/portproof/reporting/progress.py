"""What a person sees while a verification runs."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from portproof.bundle.report import Cell
from portproof.reporting.printing import console, is_terminal, note, say
from portproof.reporting.summary import counted
from portproof.reporting.table import tables


@contextmanager
def progress(*, quiet: bool = False, verbose: bool = False) -> Iterator[Callable[[Cell], None]]:
    """Gives a function that takes each cell as it is judged.

    In a terminal the tables fill as verdicts arrive, and disappear at the end. `verbose` prints a
    line for each verdict instead, also into a pipe; `quiet` prints nothing.
    """
    terminal = console()
    if quiet or verbose:
        yield _print_cell if verbose else lambda _: None
        return
    if not is_terminal(sys.stdout):
        yield lambda _: None
        return
    cells: list[Cell] = []

    def so_far() -> RenderableType:
        state = f"{len(cells)} verdicts so far" if cells else "starting the runtimes"
        return Group(*tables(list(cells), terminal.width), Text(state, "dim"))

    with Live(get_renderable=so_far, console=terminal, transient=True, refresh_per_second=4):
        yield cells.append


def runtime_progress(*, quiet: bool = False) -> Callable[[str, Sequence[Cell]], None]:
    """A function that takes each runtime as it ends.

    Where no terminal shows verdicts as they arrive, it prints a line to standard error: minutes
    without a word look like a job that hangs.
    """
    if quiet or is_terminal(sys.stdout):
        return lambda _, __: None

    def show(runtime: str, cells: Sequence[Cell]) -> None:
        note(f"{runtime}: {counted(cells)}")

    return show


@contextmanager
def setup_progress() -> Iterator[Callable[[str], None]]:
    """Gives a function that takes each step of a set-up, and prints it to standard error.

    In a terminal the last line shows that it goes on, and for how long: a download takes minutes.
    """
    terminal = console(stderr=True)
    if not is_terminal(sys.stderr):
        yield note
        return
    columns = (SpinnerColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=terminal, transient=True) as shown:
        shown.add_task("setting up runtimes")
        yield lambda line: terminal.print(line, soft_wrap=True)


def _print_cell(cell: Cell) -> None:
    line = f"{cell.verdict:<9} {cell.model} {cell.full_format} in {cell.runtime}, "
    line += f"{cell.signature}.{cell.output}, {cell.regime}"
    seconds = "" if cell.seconds is None else f" ({cell.seconds:.2g} s)"
    say(line + seconds + (f": {cell.detail}" if cell.detail else ""))
