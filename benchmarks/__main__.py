"""Times Portproof beside plain scripts that do its parts by hand: `make bench`."""

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measuring import Command, Pair, pairs, portproof, python, run
from benchmarks.page import gigabytes, machine, table

PAGE = Path(__file__).parents[1] / "BENCHMARKS.md"
ROOT = PAGE.parent
EXPORTED = (
    "mobilenet_v2",
    "resnet50_v2",
    "efficientnet_v2_b0",
    "vision_transformer",
    "lstm",
    "audio",
    "audio_10_s",
    "dense_500_mb",
)
# The others take a quarter of an hour together.
VERIFIED = ("mobilenet_v2", "vision_transformer", "lstm", "audio")
BUILT_IN = ("quadratic", "my_module", "quadratic_keras")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*SECTIONS, []], help="of them only these")
    parser.add_argument("--pairs", type=int, default=3, help="how often each pair is run")
    parser.add_argument("--models", nargs="*", default=EXPORTED, help="of those that are exported")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    arguments = parser.parse_args()
    times = "once" if arguments.pairs == 1 else f"{arguments.pairs} times"
    lines = [HEAD, f"{machine()} Each pair was run {times}.", ""]
    with tempfile.TemporaryDirectory(prefix="portproof-") as folder:
        bench = Bench(Path(folder), arguments.pairs, arguments.models)
        for name in arguments.parts or SECTIONS:
            for line in SECTIONS[name](bench):
                print(line, flush=True)
                lines.append(line)
    if arguments.write:
        PAGE.write_text("\n".join(lines) + "\n")


HEAD = """# How long it takes

Written by `make bench`. Each figure of ours stands beside a plain script of `benchmarks/by_hand/`
that does the same part by hand, run in turn with it: medians of the pairs, and the median of their
ratios. Memory is the most that a command and all its processes had, shared pages counted once.
"""


class Bench:
    """Where the commands run, how often, and the models that are there."""

    def __init__(self, folder: Path, number: int, models: list[str]) -> None:
        self.folder, self.number, self.models = folder, number, models

    def model(self, name: str) -> tuple[Path, Path]:
        """A model's file and its inputs, made when they are first asked for."""
        file, inputs = self.folder / f"{name}.keras", self.folder / f"{name}.npz"
        if not file.is_file():
            run(python("benchmarks.models", name, self.folder), ROOT)
        return file, inputs

    def pairs(self, ours: Command, by_hand: Command, folder: Path | None = None) -> Pair:
        """Both in turn, in a folder."""
        return pairs(ours, by_hand, folder or self.folder, self.number, self.folder / "by_hand")


def exports(bench: Bench) -> Iterator[str]:
    """Every format: an export, which also makes test vectors, and the conversions alone."""
    rows = []
    for name in bench.models:
        file, inputs = bench.model(name)
        pair = bench.pairs(
            portproof("export", file, "--inputs", inputs),
            python("benchmarks.by_hand.convert", file, inputs, bench.folder / "by_hand"),
        )
        rows.append((name, pair))
        print(name, pair.seconds, file=sys.stderr, flush=True)
    yield "## Export to every format\n"
    yield "By hand: the conversions alone, one after the other, without any test vectors.\n"
    yield from table(rows)


def verifications(bench: Bench) -> Iterator[str]:
    """All that decides and its edge cases, in every runtime here."""
    yield "\n## Verification in every runtime here\n"
    yield "| bundle | seconds | memory |\n| --- | --- | --- |"
    for name in VERIFIED:
        bundle = bench.folder / "artifacts" / name
        if bundle.is_dir():
            taken = run(portproof("verify", bundle), bench.folder, accepted=(0, 1))
            yield f"| {name} | {taken.seconds:.0f} | {gigabytes(taken.memory)} |"


def built_in(bench: Bench) -> Iterator[str]:
    """`make`, set-up excluded, beside a script that trains and saves."""
    clean = "rm -rf training artifacts/.portproof && make -s train export verify"
    pair = bench.pairs(
        ["sh", "-c", clean],
        python("benchmarks.by_hand.train", bench.folder / "by_hand"),
        ROOT,
    )
    yield "\n## The three models of this repository\n"
    yield from table([("`make`, beside training, saving and converting alone", pair)])
    bundles = [ROOT / "artifacts" / name for name in BUILT_IN]
    taken = [run(portproof("verify", *bundles), bench.folder).seconds for _ in range(bench.number)]
    yield f"\n`portproof verify` of the three: {statistics.median(taken):.1f} s."


def parts(bench: Bench) -> Iterator[str]:
    """Parts of it, beside the tools that people use for them."""
    file, inputs = bench.model("mobilenet_v2")
    hand, part = bench.folder / "by_hand", bench.folder / "part"

    def export(format_: str) -> Command:
        return portproof("export", file, "--inputs", inputs, "--format", format_, "--output", part)

    run(export("savedmodel"), bench.folder)
    saved_model = bench.folder / "saved_model"
    shutil.copytree(part / "mobilenet_v2" / "savedmodel", saved_model)
    run(portproof("export", file, "--inputs", inputs, "--output", bench.folder), bench.folder)
    bundle = bench.folder / "mobilenet_v2"
    rows = {
        "SavedModel and vectors, beside Keras's `export`": (
            export("savedmodel"),
            python("benchmarks.by_hand.keras_export", file, hand),
        ),
        "TF.js graph, SavedModel and vectors, beside tensorflowjs_converter": (
            export("tfjs-graph"),
            python("benchmarks.by_hand.tfjs", saved_model, hand),
        ),
        "LiteRT alone, beside its interpreter by hand": (
            portproof("verify", bundle, "--runtime", "litert"),
            python("benchmarks.by_hand.interpreter", bundle),
        ),
    }
    yield "\n## Parts, for MobileNetV2\n"
    yield from table([(name, bench.pairs(*commands)) for name, commands in rows.items()])


def large(bench: Bench) -> Iterator[str]:
    """2.4 GB of weights."""
    file, inputs = bench.model("dense_2_4_gb")
    formats = ["--format", "savedmodel", "--format", "checkpoint"]
    pair = bench.pairs(
        portproof("export", file, "--inputs", inputs, *formats),
        python("benchmarks.by_hand.save", file, bench.folder / "by_hand"),
    )
    yield "\n## 2.4 GB of weights\n"
    yield from table([("SavedModel, checkpoint and vectors, beside saving alone", pair)])


def growth(bench: Bench) -> Iterator[str]:
    """With rows, with weights, and with the number of bundles."""
    yield "\n## Growth\n"
    yield "Comparing, in milliseconds, beside `numpy.testing.assert_allclose`:\n"
    yield "| rows of 1000 numbers | ours | assert_allclose | ratio |\n| --- | --- | --- | --- |"
    for rows in (100, 1_000, 10_000):
        command = python("benchmarks.by_hand.compare", str(rows))
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        floor, ours = (1000 * float(word) for word in done.stdout.split())
        yield f"| {rows} | {ours:.1f} | {floor:.1f} | {ours / floor:.2f} |"
    yield "\nLiteRT alone, of bundles of the first model:\n"
    yield "| bundles | seconds |\n| --- | --- |"
    for number in (1, 3):
        bundles = [ROOT / "artifacts" / name for name in BUILT_IN[:number]]
        taken = run(portproof("verify", *bundles, "--runtime", "litert"), bench.folder)
        yield f"| {number} | {taken.seconds:.1f} |"


SECTIONS = {
    "exports": exports,
    "verifications": verifications,
    "parts": parts,
    "built-in": built_in,
    "large": large,
    "growth": growth,
}

if __name__ == "__main__":
    main()
