"""What `portproof verify` shows in a terminal; plain and quiet when piped."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from bundle import atomic
from verify import table
from verify.report import Cell, Report
from verify.runtimes.runtime import Runtime


def _print(what: RenderableType) -> None:
    """To standard output. A pipe has no width, so there no line is broken, nor filled up."""
    console = Console(highlight=False)
    if console.is_terminal:
        console.print(what)
        return
    plain = Console(highlight=False, width=1000)
    with plain.capture() as captured:
        plain.print(what)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))


@contextmanager
def progress() -> Iterator[Callable[[Cell], None]]:
    """A line that says what was judged last, on standard error and in a terminal alone."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield lambda _: None
        return
    seen = 0
    with console.status("starting the runtimes") as status:

        def on_cell(cell: Cell) -> None:
            nonlocal seen
            seen += 1
            what = " ".join(filter(None, cell.artifact))
            status.update(f"{seen} cells; {what} in {cell.runtime}: {cell.verdict}")

        yield on_cell


def show(report: Report) -> None:
    _print(table.render(report))


def write_json(report: Report, path: Path) -> None:
    atomic.write_text(path, report.to_json())


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
    _print(rows)
