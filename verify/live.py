"""What `portproof verify` shows in a terminal; plain and quiet when piped."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from bundle import atomic
from verify import diagnosis_text, table
from verify.diagnose import Diagnosis
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
def progress() -> Iterator[Callable[[Cell], None]]:
    """The tables, filling as verdicts arrive; in a terminal alone, and gone at the end."""
    console = Console(highlight=False)
    if not console.is_terminal:
        yield lambda _: None
        return
    cells: list[Cell] = []

    def so_far() -> RenderableType:
        said = f"{len(cells)} verdicts so far" if cells else "starting the runtimes"
        return Group(*table.tables(list(cells), console.width), Text(said, "dim"))

    with Live(get_renderable=so_far, console=console, transient=True, refresh_per_second=4):
        yield cells.append


def show(report: Report) -> None:
    _print(lambda width: table.render(report, width))


def show_diagnosis(diagnosis: Diagnosis) -> bool:
    """Print one; whether nothing leaves the reference."""
    _print(lambda _: diagnosis_text.render(diagnosis))
    return diagnosis.agrees


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
    _print(lambda _: rows)
