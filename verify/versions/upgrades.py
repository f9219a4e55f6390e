"""What got worse, or better, from one version of a runtime to another, over the zoo's small models.

`python -m verify.versions.upgrades --write` writes docs/upgrades.md: a quarter of an hour.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import portproof

portproof.start_tensorflow()

from portproof.bundle.manifest import DECIDING  # noqa: E402
from portproof.bundle.report import Report  # noqa: E402
from portproof.comparison import two_runtimes  # noqa: E402
from portproof.exporting import export_source  # noqa: E402
from portproof.formats.table import select  # noqa: E402
from portproof.reporting.changes_text import markdown  # noqa: E402
from verify.zoo import layers, weights  # noqa: E402

PAGE = Path(__file__).parents[2] / "docs" / "upgrades.md"
# The older version and the newer one.
UPGRADES = (
    ("litert@1.4.0", "litert@2.3.0"),
    ("litert-reference@1.4.0", "litert-reference@2.3.0"),
    ("tfjs-node-cpu@4.10.0", "tfjs-node-cpu@4.22.0"),
    ("tfjs-node-wasm@4.10.0", "tfjs-node-wasm@4.22.0"),
)
FORMATS = (
    *("tflite", "tflite float16", "tflite dynamic-range", "tflite int8"),
    *("tfjs-graph", "tfjs-layers"),
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m verify.versions.upgrades", description=__doc__)
    parser.add_argument("names", nargs="*", help="models of the zoo; all small ones if none")
    parser.add_argument("--write", action="store_true", help="write docs/upgrades.md")
    arguments = parser.parse_args()
    log = partial(print, flush=True, file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="portproof-") as folder:
        names = arguments.names or list(layers.MODELS)
        bundles = [_exported(name, Path(folder)) for name in names if not log(name)]
        runtimes = [name for pair in UPGRADES for name in pair]
        report = portproof.verify(*bundles, runtimes=runtimes, log=log)
    text = "\n".join(page(report, len(names))) + "\n"
    if arguments.write:
        PAGE.write_text(text)
    print(text)


def _exported(name: str, folder: Path) -> Path:
    source = weights.source(name, weights.with_random_weights(name, layers.MODELS[name]()))
    chosen = [format_ for format_ in select() if format_.full_name in ("savedmodel", *FORMATS)]
    return export_source(source, folder / name, formats=chosen, regimes=DECIDING).path


def page(report: Report, models: int) -> Iterator[str]:
    """The comparisons, one for each pair of versions."""
    yield "# From one version to another"
    yield ""
    yield f"Made by `python -m verify.versions.upgrades --write`: {models} small models with every"
    yield "layer of Keras, each exported once and run in both versions. `portproof compare BUNDLE"
    yield "--runtime OLD --runtime NEW` gives the same of a bundle of your own."
    for old, new in UPGRADES:
        yield ""
        yield f"## {old} and {new}"
        yield ""
        yield from markdown(two_runtimes(report, f"{models} models", old, new))


if __name__ == "__main__":
    main()
