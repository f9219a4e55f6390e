"""Gives the command line hostile inputs, and looks for what escapes: `make hostile`."""

import argparse
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from verify.hostile import files, graphs, manifests, outputs, releases, sources, vectors
from verify.hostile.case import Hostile
from verify.hostile.draft import Bases
from verify.hostile.run import Result, run

RESULTS = Path(__file__).parent / "RESULTS.md"
_MODEL = """
import sys
import portproof
portproof.start_tensorflow()
import keras
import numpy as np
keras.utils.set_random_seed(1)
inputs = keras.Input((4,), name="x")
hidden = keras.layers.Dense(8, activation="relu")(inputs)
model = keras.Model(inputs, keras.layers.Dense(3, name="y")(hidden), name="small")
model.save(sys.argv[1])
data = np.random.default_rng(1).normal(size=(16, 4)).astype("float32")
portproof.export(model, sys.argv[2], inputs=data, formats=["tflite", "tfjs-graph"])
"""


def all_cases() -> list[Hostile]:
    groups = (manifests, files, vectors, sources, releases, outputs, graphs)
    return list(chain.from_iterable(group.cases() for group in groups))


def make_bases(folder: Path) -> Bases:
    """The honest model and bundle that the inputs are made of."""
    model, bundle = folder / "small.keras", folder / "small"
    subprocess.run([sys.executable, "-c", _MODEL, str(model), str(bundle)], check=True)
    return Bases(bundle, model)


def page(results: Sequence[Result]) -> Iterator[str]:
    """RESULTS.md."""
    yield "# Hostile and broken inputs\n"
    yield "Written by `make hostile`. Each input is given to the command line, in a home with a"
    yield "secret, beside a server that counts its callers. SECURITY.md says what is promised.\n"
    bad = [result for result in results if result.problems]
    slowest = max(result.seconds for result in results)
    yield f"**{len(results)} inputs, {len(results) - len(bad)} as they must be;** "
    yield f"the slowest took {slowest:.0f} s.\n"
    yield "| kind | inputs | as they must be | exit statuses |"
    yield "| --- | --- | --- | --- |"
    for group in dict.fromkeys(result.hostile.group for result in results):
        of_group = [result for result in results if result.hostile.group == group]
        statuses = Counter(result.status for result in of_group)
        told = ", ".join(f"{status}: {count}" for status, count in sorted(statuses.items()))
        good = sum(not result.problems for result in of_group)
        yield f"| {group} | {len(of_group)} | {good} | {told} |"
    for result in bad:
        yield f"\n- {result.hostile.group}, {result.hostile.name}: {'; '.join(result.problems)}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m verify.hostile", description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of the names of groups and inputs")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    chosen = [
        case
        for case in all_cases()
        if not arguments.names
        or any(name in f"{case.group} {case.name}" for name in arguments.names)
    ]
    results = []
    with tempfile.TemporaryDirectory(prefix="hostile-") as folder:
        bases = make_bases(Path(folder))
        for result in run(chosen, bases, Path(folder), arguments.workers):
            results.append(result)
            case = result.hostile
            took = f"{result.status} {result.seconds:4.1f} s"
            print(f"{took}  {case.group}: {case.name}: {result.reason[:110]}")
            for problem in result.problems:
                print(f"    !! {problem}", flush=True)
    lines = list(page(results))
    print("\n".join(lines))
    if arguments.write:
        RESULTS.write_text("\n".join(lines) + "\n")
    raise SystemExit(any(result.problems for result in results))


if __name__ == "__main__":
    main()
