"""The page: a table for each family of runtimes, and the reason of whatever is not proven."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from portproof import Cell, Report
from portproof.bundle.manifest import DECIDING
from portproof.bundle.verdicts import GRADES
from verify.versions.run import FAMILIES, Family
from verify.zoo.run import SUBSET

_HEAD = """\
# Versions that were tried

Made by `make versions`, from a real run: the artifacts that this version of Portproof exports of
the three models in `export/` and of {subset} in `verify/zoo/`, on
{platform} with Python {python}, each version of a runtime in an environment of its own. A number
counts outputs of signatures, on the model's own data and on other batch sizes. What is not proven
has its reason below the table.
"""


def page(reports: Mapping[str, Report]) -> str:
    environment = next(iter(reports.values())).environment
    names = [f"`{name}`" for name in SUBSET]
    head = _HEAD.format(
        subset=f"{', '.join(names[:-1])} and {names[-1]}",
        platform=environment.platform.split("-")[0],
        python=environment.python,
    )
    sections = (_section(FAMILIES[name], report) for name, report in reports.items())
    return "\n".join([head, *("\n".join(lines) + "\n" for lines in sections)])


def _section(family: Family, report: Report) -> Iterator[str]:
    cells = [cell for cell in report.cells if cell.regime in DECIDING]
    by_runtime: dict[str, list[Cell]] = {}
    for cell in cells:
        by_runtime.setdefault(cell.runtime, []).append(cell)
    yield f"## {family.title}"
    yield ""
    yield "| version | " + " | ".join(f"`{name}`" for name in family.runtimes) + " |"
    yield "| --- |" + " --- |" * len(family.runtimes)
    for version in family.versions:
        verdicts = (counts(by_runtime.get(f"{name}@{version}", [])) for name in family.runtimes)
        yield f"| {version} | {' | '.join(verdicts)} |"
    if reasons := list(_reasons(cells)):
        yield ""
        yield from reasons


def counts(cells: Iterable[Cell]) -> str:
    """`92 exact, 3 faithful`."""
    counted = Counter(cell.verdict for cell in cells)
    return ", ".join(f"{counted[word]} {word}" for word in (*GRADES, "absent") if counted[word])


def _reasons(cells: Iterable[Cell]) -> Iterator[str]:
    """A line for each reason, with the runtimes and the artifacts that it is the reason of."""
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        if not cell.passed:
            groups.setdefault((cell.verdict, _reason(cell)), []).append(cell)
    for (verdict, reason), group in groups.items():
        runtimes = ", ".join(dict.fromkeys(f"`{cell.runtime}`" for cell in group))
        artifacts = ", ".join(dict.fromkeys(f"{cell.model} {cell.full_format}" for cell in group))
        yield f"- **{verdict}** in {runtimes} ({artifacts}): `{reason}`"


def _reason(cell: Cell) -> str:
    """A cell's reason without its case, and without what the person could do."""
    tried = re.search(r"\(it was tried: (.*)\)$", cell.detail)
    if cell.verdict == "absent" and tried:
        return tried[1]
    return re.sub(r"^[\w-]+: | \(and \d+ more\)$", "", cell.detail)
