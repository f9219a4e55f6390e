"""Exports some configurations: python -m verify.conformance.exporting FOLDER NAME...

A line of JSON for each on standard output: its name, and why there is no bundle of it, or nothing.
"""

import contextlib
import json
import sys
import warnings
from pathlib import Path

import portproof

portproof.start_tensorflow()

import keras  # noqa: E402

from portproof.bundle.manifest import DECIDING  # noqa: E402
from portproof.exporting import export_source  # noqa: E402
from portproof.formats.table import select  # noqa: E402
from portproof.vectors import row_limit  # noqa: E402
from verify.conformance.harvest import Configuration, harvest  # noqa: E402
from verify.conformance.models import NotAModelError, source_of  # noqa: E402

# Plain float32: a variant of a single layer with random weights tells nothing of the rule.
FORMATS = ("savedmodel", "keras", "tflite", "tfjs-graph", "tfjs-layers", "onnx")


# Rows and operations of a case: what is tried is the rule, which few rows show as well as many.
row_limit.MAX_ROWS, row_limit.MAX_OPERATIONS = 32, 1e7


def main() -> None:
    folder, *names = sys.argv[1:]
    answers, sys.stdout = sys.stdout, sys.stderr
    configurations = harvest()
    for name in names:
        keras.utils.clear_session()
        reason = _export(configurations[name], Path(folder))
        print(json.dumps({"name": name, "reason": reason}), file=answers, flush=True)


def _export(configuration: Configuration, folder: Path) -> str:
    """Why there is no bundle of a configuration, or nothing where there is."""
    if configuration.skip:
        return configuration.skip
    with warnings.catch_warnings(), contextlib.suppress(portproof.PortproofError):
        warnings.simplefilter("ignore")
        try:
            source = source_of(configuration)
            export_source(
                source, folder / configuration.name, lambda _: None, select(FORMATS), (), DECIDING
            )
        except (NotAModelError, portproof.PortproofError) as error:
            return str(error).removeprefix(f"{configuration.name} ")[:300]
        except Exception as error:  # that nobody foresaw is a fault of ours, and is told as one
            return f"not foreseen: {type(error).__name__}: {str(error)[:250]}"
    return ""


if __name__ == "__main__":
    main()
