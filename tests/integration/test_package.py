"""The built package: plain pip installs it, and it proves a model beside a user's own modules."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import uv
import yaml

from portproof.bundle.bundle import PAGE, REPORT
from portproof.bundle.report import Report
from tests.conftest import REPOSITORY
from tests.helpers import servers

pytestmark = pytest.mark.slow

# Names that a user's own modules may have: none of them may be installed by our package.
USERS_MODULES = ("export", "verify", "bundle", "oracle", "test", "formats", "runtimes")

# LiteRT, TF.js in Node and in the browser, LiteRT.js, and a C program.
EVERYWHERE = {
    "litert",
    "tfjs-node-cpu",
    "tfjs-node-wasm",
    "tfjs-chromium-webgl",
    "litert-chromium-wasm",
    "tensorflow-c",
}

MODELS = """
import keras

def build():
    x = keras.Input((3,), name="x")
    hidden = keras.layers.Dense(8, "relu")(x)
    return keras.Model(x, {"y": keras.layers.Dense(2)(hidden)}, name="mine")
"""

SCRIPT = """
import sys
import export, verify, bundle, oracle, test, formats, runtimes
assert export.MINE and verify.MINE and bundle.MINE and oracle.MINE and formats.MINE
import numpy as np
import portproof
import models

inputs = {"x": np.eye(3, dtype="float32")}
bundle = portproof.export(models.build(), "artifacts/mine", inputs=inputs)
assert "tfjs-graph" in [artifact.format for artifact in bundle.manifest.artifacts]
report = portproof.verify(bundle.path, runtimes=["tensorflow", "keras", "litert"])
assert report.ok, report.failures
print({cell.runtime for cell in report.cells if cell.passed})
"""


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts of an empty environment into which plain pip has installed what exports."""
    folder = tmp_path_factory.mktemp("environment")
    return installed(folder, f"{wheel}[tensorflow]")


@pytest.fixture(scope="module")
def light(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same without an extra."""
    return installed(tmp_path_factory.mktemp("light"), str(wheel))


def installed(folder: Path, requirement: str) -> Path:
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(folder / "bin" / "pip"), "install", "--quiet", requirement]
    subprocess.run(pip, cwd=folder, env=bare(folder), check=True)
    return folder / "bin"


def bare(home: Path) -> dict[str, str]:
    """An environment without this repository's settings, but with those for package registries."""
    prefixes = ("PIP_", "UV_", "SSL_", "REQUESTS_", "NODE_EXTRA_", "npm_config_")
    settings = {name: value for name, value in os.environ.items() if name.startswith(prefixes)}
    return {"PATH": "/usr/bin:/bin", "HOME": str(home), "TF_CPP_MIN_LOG_LEVEL": "3", **settings}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A user's folder, with modules named as our folders are."""
    for name in USERS_MODULES:
        (tmp_path / f"{name}.py").write_text("MINE = True\n")
    (tmp_path / "models.py").write_text(MODELS)
    (tmp_path / "prove.py").write_text(SCRIPT)
    return tmp_path


def run(project: Path, *command: str | Path, **variables: str) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        cwd=project,
        env={**bare(project), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_holds_one_package(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {"portproof", "portproof-0.2.0.dist-info"}
    needed = (
        "py.typed",
        "reporting/templates/card.md.j2",
        "reporting/templates/report.html.j2",
        "runtimes/environments/locks/litert.txt",
        "runtimes/environments/locks/tfjs/package-lock.json",
        "runtimes/js/loop.mjs",
        "runtimes/js/page/tfjs.html",
        "runtimes/c/tensorflow_c.c",
    )
    assert {f"portproof/{name}" for name in needed} <= set(names)
    assert wheel.stat().st_size < 2**20


def test_only_portproof_and_its_dependencies_are_installed(environment: Path) -> None:
    [packages] = environment.parent.glob("lib/python3*/site-packages")
    clashing = [path.name for path in packages.iterdir() if path.name in USERS_MODULES]
    assert not clashing
    assert (packages / "portproof" / "py.typed").is_file()
    names = distributions(environment)
    assert {"portproof", "tensorflow", "ai-edge-litert"} <= names
    assert not names & {"tensorflowjs", "tensorflow-decision-forests", "jax", "tf-keras"}


def distributions(scripts: Path) -> set[str]:
    freeze = run(scripts.parent, scripts / "pip", "list", "--format=freeze")
    return {line.split("==")[0].lower() for line in freeze.splitlines()}


def test_a_script_beside_modules_with_our_folders_names_proves_a_model(
    environment: Path, project: Path
) -> None:
    printed = run(project, environment / "python", "prove.py")
    assert {"tensorflow", "keras", "litert"} <= eval(printed.splitlines()[-1])


def test_what_is_set_up_proves_a_model_everywhere(environment: Path, project: Path) -> None:
    portproof = environment / "portproof"
    run(project, portproof, "setup")
    run(project, portproof, "export", "models:build")
    assert "proven: " in run(project, portproof, "verify")
    report = Report.model_validate_json((project / "artifacts" / "build" / REPORT).read_text())
    proven = {cell.runtime for cell in report.cells if cell.passed}
    assert proven >= EVERYWHERE
    absent = {"keras-torch", "litert-adb", "serving-rest", "serving-grpc"}
    assert set(report.absent) == absent
    assert "this Python" in run(project, portproof, "runtimes")
    assert "serving_default" in run(project, portproof, "show")


def test_without_tensorflow_it_is_small_and_verifies(
    light: Path, environment: Path, project: Path
) -> None:
    size = sum(path.stat().st_size for path in light.parent.rglob("*") if not path.is_symlink())
    assert size < 200 * 10**6
    assert not distributions(light) & {"tensorflow", "keras", "ai-edge-litert", "matplotlib"}
    refused = subprocess.run(
        [light / "portproof", "export", "models:build"],
        cwd=project,
        env=bare(project),
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 2
    assert refused.stderr.endswith("pip install 'portproof[tensorflow]'\n")
    run(project, environment / "portproof", "export", "models:build", "--format", "tflite")
    named = ("--runtime", "litert", "--runtime", "tensorflow")
    printed = run(project, light / "portproof", "verify", *named)
    assert "proven: " in printed
    run(project, light / "portproof", "show")
    run(project, light / "portproof", "publish", "artifacts/build", "published")
    page = (project / "artifacts" / "build" / PAGE).read_text()
    assert "portproof[plots]" in page


def test_the_workflow_runs_as_written(
    wheel: Path, project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """All its `run:` lines, but for the registry's log-in, in an environment that has only pip."""
    scripts = tmp_path_factory.mktemp("workflow") / "bin"
    subprocess.run([sys.executable, "-m", "venv", str(scripts.parent)], check=True)
    variables = {
        "PATH": f"{scripts}:/usr/bin:/bin",
        "PIP_FIND_LINKS": f"{wheel.parent} {os.environ.get('PIP_FIND_LINKS', '')}",
        "MODEL": "models:build",
        "DATA": "",
        "GITHUB_SHA": "0" * 40,
    }
    workflow = yaml.safe_load((REPOSITORY / "examples/github/portproof.yml").read_text())
    lines = [step["run"] for step in workflow["jobs"]["prove"]["steps"] if "run" in step]
    assert len(lines) == 5
    with servers.registry(tmp_path_factory.mktemp("registry")) as host:
        for line in lines:
            without_login = "\n".join(x for x in line.splitlines() if "docker login" not in x)
            run(project, "bash", "-ec", without_login, TO=f"oci://{host}/models", **variables)
        published = f"oci://{host}/models/build:{'0' * 40}"
        named = ("--runtime", "litert", "--runtime", "tensorflow")
        printed = run(project, scripts / "portproof", "verify", published, *named)
        assert "agrees with its own test vectors: " in printed
    assert (project / "portproof.xml").is_file()


@pytest.mark.parametrize("version", ["2.18", "2.19", "2.20"])
@pytest.mark.parametrize("extras", ["", "[tensorflow,plots,publish,s3]"])
def test_there_is_a_solution_beside_a_project_s_tensorflow(
    wheel: Path, version: str, extras: str, tmp_path: Path
) -> None:
    wanted = tmp_path / "requirements.in"
    wanted.write_text(f"portproof{extras} @ {wheel.as_uri()}\ntensorflow=={version}.*\n")
    resolved = run(tmp_path, uv.find_uv_bin(), "pip", "compile", "--quiet", wanted)
    assert f"\ntensorflow=={version}." in resolved


def test_the_sdist_builds_and_passes_the_fast_tests_by_itself(tmp_path: Path) -> None:
    def run(*command: str | Path, folder: Path) -> str:
        done = subprocess.run(
            [str(word) for word in command],
            cwd=folder,
            env=bare(tmp_path),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    dist = tmp_path / "dist"
    run(sys.executable, "-m", "build", "--quiet", "--outdir", dist, ".", folder=REPOSITORY)
    run(sys.executable, "-m", "twine", "check", "--strict", *dist.iterdir(), folder=tmp_path)
    [sdist] = dist.glob("*.tar.gz")
    shutil.unpack_archive(sdist, tmp_path)
    [source] = tmp_path.glob("portproof-*")
    tool = uv.find_uv_bin()
    run(tool, "venv", "--quiet", "--python", sys.executable, "e", folder=source)
    install = (tool, "pip", "install", "--quiet", "--python", "e", ".", "--group", "test")
    run(*install, folder=source)
    told = run(source / "e" / "bin" / "python", "-m", "pytest", "tests/unit", folder=source)
    assert int(told.split(" passed")[0].split()[-1]) > 300
