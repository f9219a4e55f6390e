"""What a person sees while a verification runs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from portproof.bundle.report import Cell
from portproof.reporting.table import tables


@contextmanager
def progress(*, quiet: bool = False, verbose: bool = False) -> Iterator[Callable[[Cell], None]]:
    """Gives a function that takes each cell as it is judged.

    In a terminal the tables fill as verdicts arrive, and disappear at the end. `verbose` prints a
    line for each verdict instead, also into a pipe; `quiet` prints nothing.
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
        state = f"{len(cells)} verdicts so far" if cells else "starting the runtimes"
        return Group(*tables(list(cells), console.width), Text(state, "dim"))

    with Live(get_renderable=so_far, console=console, transient=True, refresh_per_second=4):
        yield cells.append


def _print_cell(cell: Cell) -> None:
    line = f"{cell.verdict:<9} {cell.model} {cell.full_format} in {cell.runtime}, "
    line += f"{cell.signature}.{cell.output}, {cell.regime}"
    seconds = "" if cell.seconds is None else f" ({cell.seconds:.2g} s)"
    print(line + seconds + (f": {cell.detail}" if cell.detail else ""), flush=True)
