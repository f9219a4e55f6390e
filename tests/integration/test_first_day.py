"""What a newcomer does wrong on the first day: each ends in one message that gets them on.

The commands are run as typed, in a folder with a person's files.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np
import pytest

from portproof.bundle.bundle import MANIFEST
from tests.conftest import REPOSITORY

# The command, in a Python that finds no TensorFlow.
WITHOUT_TENSORFLOW = (
    "import importlib.util as u; find = u.find_spec; "
    "u.find_spec = lambda name, *rest: None if name == 'tensorflow' else find(name, *rest); "
    "from portproof.cli import main; main()"
)


@dataclass(frozen=True)
class Mistake:
    """What somebody types, and what they are told.

    Attributes:
        command: The words after `portproof`.
        told: A regular expression for the only line that begins with "error" or "refused".
        status: The exit status.
        settings: A portproof.toml.
        program: Instead of `portproof`.
        variables: Of the environment.
    """

    command: str
    told: str
    status: int = 2
    settings: str = ""
    program: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Ended:
    """How a command ended, and the names of the files that it left."""

    status: int
    printed: str
    left: list[str]


KINDS = r"give a \.keras or \.h5 file, a SavedModel folder or package\.module:function"
NOWHERE = "http://127.0.0.1:9"
MISTAKES = {
    "a typing error": Mistake("export modle.keras", rf"there is no modle\.keras: {KINDS}"),
    "an environment without TensorFlow": Mistake(
        "export model.keras --trust",
        r"needs tensorflow: pip install 'portproof\[tensorflow\]'",
        program=(sys.executable, "-c", WITHOUT_TENSORFLOW),
    ),
    "a Python file": Mistake(
        "export model.py", "name the function in it that returns the model, model:FUNCTION"
    ),
    "no such function": Mistake("export model:build", r"model has no build\."),
    "a PyTorch file": Mistake("export model.pt", "no model that TensorFlow or Keras loads"),
    "a TF.js folder in place of the model": Mistake(
        "export web", r"web is a TF\.js model, .* portproof check web --against MODEL"
    ),
    "a TFLite file in place of the model": Mistake(
        "export model.tflite", r"portproof check model\.tflite --against MODEL"
    ),
    "weights alone": Mistake(
        "export weights.h5", r"build the model in Python, load them with model\.load_weights"
    ),
    "a Lambda": Mistake(
        "export lambda.keras", r"has Lambda layers \(twice\): .* Write each with stock", 1
    ),
    "half a file": Mistake("export half.keras", r"save it again with model\.save"),
    "no inputs": Mistake(
        "export model.keras --format tflite --format 'tflite int8'",
        r"no example inputs were given: give some with --inputs data\.npz",
        1,
    ),
    "inputs of other names": Mistake(
        "export model.keras --inputs names.npz",
        r"are given for \['a', 'b'\], and the signature's inputs are \['x'\]",
    ),
    "inputs of another shape": Mistake(
        "export model.keras --inputs shape.npz",
        r"x is float32\[4, 7\], and the signature says float32\[\?, 3\]",
    ),
    "inputs as CSV": Mistake(
        "export model.keras --inputs data.csv", r"read from \.npz, \.npy or \.safetensors"
    ),
    "inputs that are not there": Mistake(
        "export model.keras --inputs nothing.npz", r"there is no file nothing\.npz"
    ),
    "a format by half of its name": Mistake(
        "export model.keras --format tfjs", "no format 'tfjs': do you mean tfjs-graph"
    ),
    "a format in place of a runtime": Mistake(
        "verify old --runtime tflite", "'tflite' is a format, and no runtime: litert, "
    ),
    "nothing exported yet": Mistake("verify", "Make one with `portproof export`"),
    "a model in place of a bundle": Mistake(
        "verify model.keras", r"no bundle\. If it is a model: portproof export model\.keras", 1
    ),
    "a bundle from another version": Mistake(
        "verify old", "of schema 99, .* install a newer one, pip install --upgrade portproof", 1
    ),
    "a setting with a typing error": Mistake(
        "export",
        r"no setting models\.m\.fromats: do you mean formats\?",
        settings='[models.m]\nsource = "model.keras"\nfromats = ["tflite"]\n',
    ),
    "a target that is no runtime": Mistake(
        "verify",
        r"models\.m\.targets: there is no runtime 'lite': do you mean litert",
        settings='[models.m]\nsource = "model.keras"\ntargets = ["lite"]\n',
    ),
    "settings that are no TOML": Mistake(
        "export", r"portproof\.toml is not TOML: .* line 1", settings="[models.m\n"
    ),
    "no network at setup": Mistake(
        "setup litert@1.3.0",
        "litert 1.3.0 cannot be set up: uv says: .*",
        1,
        variables={
            "PORTPROOF_CACHE": "cache",
            "UV_CACHE_DIR": "uv-cache",
            "UV_DEFAULT_INDEX": f"{NOWHERE}/simple",
            "UV_HTTP_RETRIES": "0",
            "HTTPS_PROXY": NOWHERE,
        },
    ),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What people have lying about."""
    folder = tmp_path_factory.mktemp("files")
    x = keras.Input((3,), name="x")
    model = keras.Model(x, {"y": keras.layers.Dense(2, name="y")(x)})
    model.save(folder / "model.keras")
    model.save_weights(folder / "my.weights.h5")
    (folder / "my.weights.h5").rename(folder / "weights.h5")
    twice = keras.layers.Lambda(lambda x: 2 * x, name="twice")
    keras.Model(x, twice(x)).save(folder / "lambda.keras")
    (folder / "half.keras").write_bytes((folder / "model.keras").read_bytes()[:2000])
    np.savez(folder / "names.npz", a=np.ones((4, 3)), b=np.ones((4, 3)))
    np.savez(folder / "shape.npz", x=np.ones((4, 7), np.float32))
    (folder / "data.csv").write_text("1,2,3\n")
    (folder / "model.py").write_text("MODEL = 1\n")
    (folder / "model.pt").write_bytes(b"PK\x03\x04")
    (folder / "model.tflite").write_bytes(b"\x1c\0\0\0TFL3")
    (folder / "web").mkdir()
    (folder / "web" / "model.json").write_text("{}")
    shutil.unpack_archive(REPOSITORY / "tests/fixtures/bundles/schema-4.zip", folder)
    (folder / "small").rename(folder / "old")
    manifest = json.loads((folder / "old" / MANIFEST).read_text())
    newer = json.dumps({**manifest, "schema": "portproof/manifest/99"})
    (folder / "old" / MANIFEST).write_text(newer)
    return folder


def _run(mistake: Mistake, folder: Path) -> subprocess.CompletedProcess[str]:
    program = mistake.program or (sys.executable, "-m", "portproof")
    words = [word.strip("'") for word in re.findall(r"'[^']*'|\S+", mistake.command)]
    variables = {**os.environ, **mistake.variables}
    return subprocess.run(
        [*program, *words], cwd=folder, env=variables, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def ended(files: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ended]:
    """Each command in a copy of the files, two at a time: most of them start TensorFlow."""

    def make(mistake: Mistake) -> Ended:
        folder = tmp_path_factory.mktemp("mistake")
        shutil.copytree(files, folder, dirs_exist_ok=True)
        if mistake.settings:
            (folder / "portproof.toml").write_text(mistake.settings)
        before = {path.relative_to(folder) for path in folder.rglob("*")}
        done = _run(mistake, folder)
        left = {path.relative_to(folder) for path in folder.rglob("*")} - before
        names = [str(path) for path in left if "cache" not in path.parts[0]]
        return Ended(done.returncode, done.stdout + done.stderr, names)

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(MISTAKES, pool.map(make, MISTAKES.values()), strict=True))


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_ends_in_one_message(name: str, ended: dict[str, Ended]) -> None:
    mistake, end = MISTAKES[name], ended[name]
    assert end.status == mistake.status, end.printed
    lines = end.printed.splitlines()
    messages = [line for line in lines if line.startswith(("error", "refused"))]
    assert len(messages) == 1, end.printed
    assert re.search(mistake.told, messages[0]), end.printed
    assert "Traceback" not in end.printed
    assert set(end.left) <= {"artifacts"}


def test_there_are_twenty() -> None:
    assert len(MISTAKES) >= 20


def test_a_disk_that_is_too_small_is_said(files: Path, tmp_path: Path) -> None:
    """Where this machine allows a file system of one's own."""
    mount = f"mount -t tmpfs -o size=400k none {tmp_path}"
    probe = ["unshare", "--mount", "--map-root-user", "sh", "-c", mount]
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("no mount namespace: nothing can be made small here")
    export = f"{sys.executable} -m portproof export {files / 'model.keras'} --output {tmp_path}"
    command = [*probe[:-1], f"{mount} && {export}; echo status $?; ls -A {tmp_path}"]
    done = subprocess.run(command, cwd=files, capture_output=True, text=True, check=False)
    assert "filled the disk" in done.stderr
    assert "make some room there" in done.stderr
    assert done.stdout.endswith("status 2\n"), done.stdout  # and nothing is left


def test_another_python_is_refused_by_make(tmp_path: Path) -> None:
    """Python 3.9, which says no to what the Makefile asks it."""
    shutil.copy(REPOSITORY / "Makefile", tmp_path)
    old = tmp_path / "python3.9"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    make = ["make", ".venv/bin/python", f"PYTHON={old}"]
    done = subprocess.run(make, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "This needs Python 3.11 to 3.13: make PYTHON=/path/to/python3" in done.stdout
    assert not (tmp_path / ".venv").exists()
    project = (REPOSITORY / "pyproject.toml").read_text()
    assert 'requires-python = ">=3.11"' in project  # by which pip says the same


def test_spaces_umlauts_and_line_ends_of_windows_are_no_mistakes(
    files: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "Große Modelle 1"
    folder.mkdir()
    shutil.copy(files / "model.keras", folder / "mein Modell.keras")
    settings = '[models.m]\nsource = "mein Modell.keras"\nformats = ["tflite"]\n'
    (folder / "portproof.toml").write_bytes(settings.replace("\n", "\r\n").encode())
    for command in (
        "export",
        "verify --runtime litert",
        "export 'mein Modell.keras' --format keras",
    ):
        if command.startswith("export '"):
            (folder / "portproof.toml").unlink()
        done = _run(Mistake(command, ""), folder)
        assert done.returncode == 0, done.stdout + done.stderr
    assert (folder / "artifacts" / "m" / MANIFEST).is_file()
