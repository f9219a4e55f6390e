"""A bundle's README.md: its snippets run as printed, and its author's text is kept."""

import http.server
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import portproof
from portproof.bundle.bundle import CARD, Bundle
from tests.helpers.programs import browser_variables, link_packages, node_command

MODELS = ("quadratic", "my_module", "quadratic_keras")


@pytest.fixture(scope="module", params=MODELS)
def folder(
    request: pytest.FixtureRequest, bundles: dict[str, Bundle], tmp_path_factory: Any
) -> Path:
    """A copy of a bundle, with the packages that its README names beside it."""
    target: Path = tmp_path_factory.mktemp("card") / request.param
    shutil.copytree(bundles[request.param].path, target)
    link_packages(target)
    return target


def snippets(folder: Path, language: str) -> list[str]:
    text = (folder / CARD).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def run(*command: str, cwd: Path) -> str:
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **browser_variables()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def numbers(text: str) -> list[float]:
    """The numbers in what a snippet printed, without those in names."""
    return [float(n) for n in re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[-+]?\d+)?", text)]


@pytest.fixture(scope="module")
def expected(folder: Path) -> list[float]:
    """What TensorFlow's snippet prints for two rows of ones."""
    [snippet] = [s for s in snippets(folder, "python") if "tf.saved_model" in s]
    printed = numbers(run(sys.executable, "-c", snippet, cwd=folder))
    assert len(printed) == 2
    assert np.ptp(printed) == 0
    return printed


@pytest.fixture
def address(folder: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    handler = partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_python_runs_as_printed(folder: Path, expected: list[float]) -> None:
    others = [s for s in snippets(folder, "python") if "tf.saved_model" not in s]
    assert len(others) == 3
    for snippet in others:
        np.testing.assert_allclose(
            numbers(run(sys.executable, "-c", snippet, cwd=folder)), expected, rtol=1e-5
        )


def test_node_runs_as_printed(folder: Path, expected: list[float]) -> None:
    [snippet] = snippets(folder, "javascript")
    (folder / "snippet.mjs").write_text(snippet)
    printed = run(*node_command(folder / "snippet.mjs"), cwd=folder)
    np.testing.assert_allclose(numbers(printed), expected, rtol=1e-5)


def test_pages_run_as_printed(folder: Path, expected: list[float], address: str) -> None:
    pages = snippets(folder, "html")
    assert len(pages) == (4 if folder.name == "quadratic_keras" else 3)
    for n, snippet in enumerate(pages):
        (folder / f"page{n}.html").write_text(snippet)
        stdout = run(*node_command("console.mjs", f"{address}/page{n}.html", "1"), cwd=folder)
        rows = 1 if "litert" in snippet else 2
        np.testing.assert_allclose(numbers(stdout), expected[:rows], rtol=1e-5)


@pytest.mark.slow
def test_c_runs_as_printed(folder: Path, expected: list[float]) -> None:
    [snippet] = snippets(folder, "c")
    (folder / "snippet.c").write_text(snippet)
    spec = find_spec("tensorflow")
    assert spec
    package = next(iter(spec.submodule_search_locations or []))
    libraries = [f"{package}/libtensorflow_{name}.so.2" for name in ("cc", "framework")]
    include = [f"-I{package}/include", f"-Wl,-rpath,{package}"]
    run("cc", "-Wall", "-o", "snippet", "snippet.c", *include, *libraries, cwd=folder)
    np.testing.assert_allclose(numbers(run("./snippet", cwd=folder)), expected, rtol=1e-5)


def test_the_serving_request_has_the_signatures_inputs(folder: Path) -> None:
    [snippet] = snippets(folder, "sh")
    body = json.loads(shlex.split(snippet.replace("\\\n", " "))[2])
    signature = Bundle.open_unchecked(folder).manifest.signatures[body["signature_name"]]
    assert body["inputs"].keys() == signature.inputs.keys()


def test_the_authors_text_is_kept(bundles: dict[str, Bundle], tmp_path: Path) -> None:
    target = tmp_path / "my_module"
    shutil.copytree(bundles["my_module"].path, target)
    path = target / CARD
    first = path.read_text()
    assert first.startswith("---\n")
    assert "To be filled in by the author" in first
    path.write_text(
        first.replace("license: other", "license: mit").replace("To be filled", "Filled")
    )
    portproof.verify(target, runtimes=["litert"])
    verified = path.read_text()
    assert "license: mit" in verified
    assert "*Filled in by the author" in verified
    assert "| tflite | ✅ exact |" in verified
    portproof.export("export.my_module:source", target, formats=["tflite"])
    exported = path.read_text()
    assert "license: mit" in exported
    assert "Not verified yet" in exported


def test_a_readme_of_the_authors_own_is_kept_whole(
    bundles: dict[str, Bundle], tmp_path: Path
) -> None:
    target = tmp_path / "my_module"
    shutil.copytree(bundles["my_module"].path, target)
    page = "# Mine\n\nIn Latin-1: \xe9".encode("latin-1")
    (target / CARD).write_bytes(page)
    assert portproof.verify(target, runtimes=["litert"]).unwritten == {}
    assert (target / CARD).read_bytes().startswith(page)


def test_snippets_that_cannot_have_odd_names_or_dtypes_are_left_out(tmp_path: Path) -> None:
    class Module(tf.Module):
        @tf.function(
            input_signature=[
                tf.TensorSpec([None, 2], tf.bfloat16, name="x"),
                tf.TensorSpec([None], tf.int64, name="n"),
            ]
        )
        def call(self, x: Any, n: Any) -> dict[str, Any]:
            return {"$\\frac$": tf.cast(x, tf.float32) + tf.cast(n[:, None], tf.float32)}

    bundle = portproof.export(Module(), tmp_path / "odd", formats=["tflite"])
    page = (bundle.path / CARD).read_text()
    assert "tf.saved_model.load" in page
    for left_out in ("```c\n", "```kotlin", "LiteRT.js in a page", "Interpreter("):
        assert left_out not in page
    assert portproof.verify(bundle.path, runtimes=["tensorflow"]).unwritten == {}
