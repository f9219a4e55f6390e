"""`portproof.testing`: our own runtimes and formats pass it, and what is wrong does not."""

import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import portproof
from portproof.formats import table as formats
from portproof.runtimes import table as runtimes
from portproof.runtimes.runtime import Runtime
from portproof.testing import Conformance, check_format, check_runtime, format_checks
from portproof.testing.models import MODELS, NAMED, SCALE, exported
from portproof.testing.runtime_checks import plain_formats
from tests.integration.test_plugins import load_example

HERE = [runtime for runtime in runtimes.RUNTIMES if not runtime.missing()]
BROWSERS = [runtime for runtime in HERE if "chromium" in runtime.name]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small models, in every format that a runtime here runs."""
    folder = tmp_path_factory.mktemp("kit")
    wanted = sorted({name for runtime in HERE for name in plain_formats(runtime)})
    for model in MODELS:
        exported(model, folder, wanted)
    return folder


@pytest.mark.parametrize(
    "runtime", [r for r in HERE if r not in BROWSERS], ids=lambda runtime: runtime.name
)
def test_our_runtimes_conform(runtime: Runtime, models: Path) -> None:
    result = check_runtime(runtime, models)
    assert result.ok, str(result)


@pytest.mark.slow
@pytest.mark.parametrize("runtime", BROWSERS, ids=lambda runtime: runtime.name)
def test_our_browsers_conform(runtime: Runtime, models: Path) -> None:
    result = check_runtime(runtime, models)
    assert result.ok, str(result)


# TensorFlow numbers the functions of one process, which a SavedModel has the names of:
# tests/integration/test_export.py exports in two.
@pytest.mark.slow
@pytest.mark.parametrize(
    "format_",
    [f for f in formats.FORMATS if not f.variant and f.name != "savedmodel"],
    ids=lambda format_: format_.full_name,
)
def test_our_formats_conform(format_: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "_added", [])
    monkeypatch.setattr(format_checks, "MODELS", (SCALE, NAMED))  # a dtype more is no other path
    result = check_format(format_)
    assert result.ok, str(result)


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(formats, "_added", [])
    monkeypatch.setattr(runtimes, "_added", [])
    return load_example()


def test_the_example_conforms(example: Any, tmp_path: Path) -> None:
    assert (written := check_format(example.FORMAT)).ok, str(written)
    assert (ran := check_runtime(example.RUNTIME, tmp_path)).ok, str(ran)


RUNNER = """
import sys
import numpy as np
import portproof

def load(request):
    factor = np.load(request.artifact)
    return lambda inputs: {broken}

portproof.serve({versions}, load)
"""

SOUND = '{"y": factor * inputs["x"]}'
VERSIONS = '{"numpy": "1"}'
BROKEN = {
    "other numbers": ('{"y": factor * inputs["x"] + 1}', VERSIONS, "numbers"),
    "another name": ('{"z": factor * inputs["x"]}', VERSIONS, "numbers"),
    "another dtype": ('{"y": (factor * inputs["x"]).astype("float64")}', VERSIONS, "numbers"),
    "the first row alone": ('{"y": (factor * inputs["x"])[:1]}', VERSIONS, "numbers"),
    "NaN becomes zero": ('{"y": np.nan_to_num(factor * inputs["x"])}', VERSIONS, "NaN"),
    "an empty batch ends it": (
        '{"y": factor * inputs["x"]} if len(inputs["x"]) else sys.exit("no rows")',
        VERSIONS,
        "empty batch",
    ),
    "no versions": (SOUND, "{}", "versions"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_runner_that_is_wrong_does_not_conform(name: str, example: Any, tmp_path: Path) -> None:
    broken, versions, check = BROKEN[name]
    result = _checked(RUNNER.format(broken=broken, versions=versions), example, tmp_path)
    assert not result.ok
    assert check in {failure.name for failure in result.failures}, str(result)


def test_a_runner_that_keeps_the_first_artifact_does_not_conform(
    example: Any, tmp_path: Path
) -> None:
    program = RUNNER.format(broken=SOUND, versions=VERSIONS).replace(
        "factor = np.load(request.artifact)",
        "load.factor = factor = getattr(load, 'factor', None) or np.load(request.artifact)",
    )
    result = _checked(program, example, tmp_path)
    assert {"another artifact", "refuses what is not there"} <= {f.name for f in result.failures}


def test_a_runner_of_another_protocol_does_not_conform(example: Any, tmp_path: Path) -> None:
    result = _checked("""print('{"ready": {"x": "1"}, "protocol": 9}')""", example, tmp_path)
    assert [failure.name for failure in result.failures] == ["protocol"]
    assert "version 9 of the protocol" in str(result)


def test_a_runner_that_dies_where_nothing_is_does_not_conform(example: Any, tmp_path: Path) -> None:
    program = RUNNER.format(broken=SOUND, versions=VERSIONS).replace(
        "factor = np.load(request.artifact)",
        "import os; factor = np.load(request.artifact) if os.path.exists(request.artifact) "
        "else os._exit(3)",
    )
    result = _checked(program, example, tmp_path)
    assert [failure.name for failure in result.failures] == ["refuses what is not there"]


def test_a_runner_that_hangs_is_asked_once(example: Any, tmp_path: Path) -> None:
    program = RUNNER.format(broken='__import__("time").sleep(600)', versions=VERSIONS)
    result = _checked(program, example, tmp_path, time_limit=3)
    assert [failure.name for failure in result.failures] == ["numbers"]
    assert "time limit of 3 s" in str(result)


def test_a_runtime_whose_formats_nobody_writes_does_not_conform(tmp_path: Path) -> None:
    runtime = Runtime("mine", formats=("unheard-of",), command=lambda: [sys.executable])
    result = check_runtime(runtime, tmp_path)
    assert "nothing writes its formats (unheard-of)" in str(result)


def _checked(program: str, example: Any, folder: Path, time_limit: float = 120.0) -> Conformance:
    (folder / "runner.py").write_text(program)
    portproof.add_format(example.FORMAT)
    command = [sys.executable, str(folder / "runner.py")]
    return check_runtime(replace(example.RUNTIME, command=lambda: command), folder, time_limit)


def _write_anew(write: Any, source: Any, root: Path, folder: str) -> Any:
    """A format that is other bytes each time."""
    written = write(source, root, folder)
    (root / folder / "time").write_bytes(np.random.default_rng().bytes(8))
    return written


def test_a_format_that_is_wrong_does_not_conform(example: Any) -> None:
    write = example.FORMAT.write

    def without_names(source: Any, root: Path, folder: str) -> Any:
        written = write(source, root, folder)
        return portproof.Written(
            {n: e.model_copy(update={"outputs": {}}) for n, e in written.endpoints.items()}
        )

    def raising(source: Any, root: Path, folder: str) -> Any:
        if len(source.model.variables) != 1:
            raise KeyError("factor")
        return write(source, root, folder)

    cases = {
        "the same bytes twice": partial(_write_anew, write),
        "endpoints": without_names,
        "refuses": raising,
        "writes": lambda *_: portproof.Written({}),
    }
    for check, broken in cases.items():
        result = check_format(replace(example.FORMAT, write=broken))
        assert not result.ok
        assert check in {failure.name for failure in result.failures}, str(result)


def test_what_was_never_tried_is_no_pass() -> None:
    result = Conformance("nothing", ("numbers",))
    assert not result.ok
    result.add("numbers", "not tried", "no format carries it")
    assert not result.ok
    assert re.search("required, and never passed: numbers", str(result))
