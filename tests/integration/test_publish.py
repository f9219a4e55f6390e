"""Proven bundles, and no others, are published to real destinations and fetched from them."""

import base64
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

import portproof
from portproof.bundle.bundle import MANIFEST, REPORT, Bundle
from portproof.bundle.errors import BundleError, UsageError
from portproof.publishing import signing
from portproof.publishing.registry import unpack
from portproof.publishing.release import SIGNATURE, STATEMENT, SUMS
from portproof.publishing.stores import fetched
from tests.helpers import servers
from tests.helpers.token_server import LOGIN, token_server
from verify.faults.damage import rewrite_manifest

PORTPROOF = Path(sys.executable).parent / "portproof"
RUNTIMES = ["tensorflow", "litert"]
MOMENTS = 50


class Scale(tf.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = tf.Variable(factor)

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="x")])
    def scale(self, x: Any) -> dict[str, Any]:
        return {"y": self.factor * x}


def verified_bundle(folder: Path, factor: float) -> Bundle:
    inputs = {"x": np.linspace(-1, 1, 12, dtype=np.float32).reshape(6, 2)}
    formats = ["checkpoint", "tflite"]
    bundle = portproof.export(Scale(factor), folder / "scale", inputs=inputs, formats=formats)
    assert portproof.verify(bundle.path, runtimes=RUNTIMES).ok
    return bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return verified_bundle(tmp_path_factory.mktemp("first"), 2.5)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return verified_bundle(tmp_path_factory.mktemp("other"), 3.5)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A private and a public key."""
    return key_pair(tmp_path_factory.mktemp("keys"))


def key_pair(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    private, public = folder / "key.pem", folder / "key.pub"
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    public.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return private, public


@pytest.fixture(scope="module", params=["file", "s3", "oci"])
def destination(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp(request.param)
    if request.param == "file":
        yield folder.as_uri()
    elif request.param == "oci":
        with servers.registry(folder) as host:
            yield f"oci://{host}/team"
    else:
        with servers.object_store(folder) as variables, pytest.MonkeyPatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            import s3fs

            s3fs.S3FileSystem().mkdir("models")
            yield "s3://models/team"


def latest(destination: str) -> str:
    return f"{destination}/scale"


def portproof_elsewhere(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in another folder, with an empty home."""
    inherited = {n: v for n, v in os.environ.items() if n.startswith("AWS_") or n == "PATH"}
    command = [os.fspath(PORTPROOF), *arguments]
    environment = {**inherited, "HOME": os.fspath(folder)}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_what_is_published_is_fetched_and_proven_on_a_clean_machine(
    destination: str, bundle: Bundle, other: Bundle, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    private, public = keys
    address = portproof.publish(bundle.path, destination, version="v1", sign_key=private)
    for location in (address, latest(destination)):
        arguments = ("verify", location, "--key", str(public), "--runtime", "litert")
        done = portproof_elsewhere(tmp_path, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "proven: " in done.stdout
    # The same again changes nothing; other bytes are refused; a new version becomes the latest.
    assert portproof.publish(bundle.path, destination, version="v1", sign_key=private) == address
    with pytest.raises(UsageError, match="A version does not change"):
        portproof.publish(other.path, destination, version="v1", sign_key=private)
    second = portproof.publish(other.path, destination, version="v2", sign_key=private)
    assert second != address
    for location, expected in ((address, bundle), (latest(destination), other)):
        with fetched(location, public) as folder:
            assert Bundle.open(folder).digest == expected.digest


def test_another_key_is_refused(
    destination: str, bundle: Bundle, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    address = portproof.publish(bundle.path, destination, version="signed", sign_key=keys[0])
    _, other_key = key_pair(tmp_path)
    report = portproof.verify(address, runtimes=["litert"], key=other_key)
    assert report.exit_status == 1
    assert "no signature of these files" in report.refused[address]
    unsigned = portproof.publish(bundle.path, destination, version="unsigned")
    with pytest.raises(BundleError, match="not signed"), fetched(unsigned, other_key):
        pass
    with fetched(unsigned) as folder:
        assert Bundle.open(folder).digest == bundle.digest


@pytest.fixture(params=["token", "basic"])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A registry that requires a login to publish."""
    if request.param == "token":
        with token_server(tmp_path) as auth, servers.registry(tmp_path, auth) as name:
            yield name
        return
    # The registry requires bcrypt: this is the hash of `secret`.
    line = "me:$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a"
    (tmp_path / "htpasswd").write_text(line + "\n")
    auth = {"htpasswd": {"realm": "basic-realm", "path": str(tmp_path / "htpasswd")}}
    with servers.registry(tmp_path, auth) as name:
        yield name


def test_publishing_to_a_registry_with_a_login(
    host: str, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    destination = f"oci://{host}/team"
    with pytest.raises(UsageError, match="wants a login: docker login"):
        portproof.publish(bundle.path, destination, version="v1")
    login = base64.b64encode(LOGIN.encode()).decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {host: {"auth": login}}}))
    address = portproof.publish(bundle.path, destination, version="v1")
    with fetched(address) as folder:
        assert Bundle.open(folder).digest == bundle.digest


def test_an_artifact_is_a_layer_of_its_own(
    bundle: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> None:
    import requests

    with servers.registry(tmp_path_factory.mktemp("layers")) as host:
        portproof.publish(bundle.path, f"oci://{host}/scale:v1")
        base = f"http://{host}/v2/scale"
        accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
        manifest = requests.get(f"{base}/manifests/v1", headers=accept, timeout=10).json()
        layers = {layer["mediaType"]: layer["digest"] for layer in manifest["layers"]}
        wanted = {artifact.folder for artifact in bundle.manifest.artifacts}
        assert {f"application/vnd.portproof.{name}.v1.tar" for name in wanted} < set(layers)
        tflite = layers["application/vnd.portproof.tflite.v1.tar"]
        content = requests.get(f"{base}/blobs/{tflite}", timeout=10).content
        assert b"TFL3" in content
        config = requests.get(f"{base}/blobs/{manifest['config']['digest']}", timeout=10)
        assert config.content == (bundle.path / MANIFEST).read_bytes()


@pytest.mark.parametrize("path", [MANIFEST, "tflite/scale.tflite", SUMS, STATEMENT, SIGNATURE])
def test_a_changed_file_is_refused_before_anything_parses_it(
    path: str, bundle: Bundle, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    portproof.publish(bundle.path, str(tmp_path), version="v1", sign_key=keys[0])
    target = tmp_path / "scale" / "v1" / path
    target.write_bytes(target.read_bytes()[:-2] + b"xx")
    address = f"{tmp_path.as_uri()}/scale/v1"
    report = portproof.verify(address, runtimes=["litert"], key=keys[1])
    assert report.exit_status == 1
    assert address in report.refused
    if path not in (SIGNATURE, SUMS):
        assert f"changed since it was signed: {path}" in report.refused[address]
    assert not report.cells


def test_what_lies_below_a_folder_is_told(destination: str, bundle: Bundle) -> None:
    portproof.publish(bundle.path, destination, version="below")
    if not destination.startswith("oci:"):
        with pytest.raises(BundleError, match="Below it are: scale"), fetched(destination):
            pass


def test_the_private_key_in_place_of_the_public_one(
    bundle: Bundle, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    portproof.publish(bundle.path, str(tmp_path), version="v1", sign_key=keys[0])
    with (
        pytest.raises(UsageError, match="is a private key"),
        fetched(f"{tmp_path.as_uri()}/scale/v1", keys[0]),
    ):
        pass


def test_a_path_outside_the_release_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    portproof.publish(bundle.path, str(tmp_path), version="v1")
    sums = tmp_path / "scale" / "v1" / SUMS
    sums.write_text(f"{'0' * 64}  ../../../escaped\n{sums.read_text()}")
    with pytest.raises(BundleError, match="damaged"), fetched(f"{tmp_path.as_uri()}/scale/v1"):
        pass


def test_a_published_statement_does_not_change(
    destination: str, bundle: Bundle, keys: tuple[Path, Path]
) -> None:
    portproof.publish(bundle.path, destination, version="plain", unverified=True)
    with pytest.raises(UsageError, match="published already, without a signature"):
        portproof.publish(bundle.path, destination, version="plain", sign_key=keys[0])


def test_a_copied_release_is_not_another_version(
    bundle: Bundle, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    portproof.publish(bundle.path, str(tmp_path), version="v1", sign_key=keys[0])
    shutil.copytree(tmp_path / "scale" / "v1", tmp_path / "scale" / "v2")
    message = "this is version v1, and v2 was asked for"
    with (
        pytest.raises(BundleError, match=message),
        fetched(f"{tmp_path.as_uri()}/scale/v2", keys[1]),
    ):
        pass


@pytest.mark.parametrize("latest", ["../../elsewhere", "", 3, "index.json"])
def test_an_index_with_an_invalid_version_is_refused(
    latest: Any, bundle: Bundle, tmp_path: Path
) -> None:
    portproof.publish(bundle.path, str(tmp_path), version="v1")
    index = tmp_path / "scale" / "index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), "latest": latest}))
    address = f"{tmp_path.as_uri()}/scale"
    report = portproof.verify(address, runtimes=["litert"])
    assert report.exit_status == 1
    assert report.refused[address].endswith("index.json is damaged.")


def test_a_model_name_with_a_path_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    target = tmp_path / "copy"
    shutil.copytree(bundle.path, target)
    outside = rewrite_manifest(
        target, bundle.manifest.model_copy(update={"model": "../../outside"})
    )
    with pytest.raises(UsageError, match="a model's name is"):
        portproof.publish(outside.path, str(tmp_path / "to"), version="v1", unverified=True)


@pytest.mark.parametrize("kind", ["link", "outside", "twice"])
def test_an_archive_with_an_unsafe_member_is_refused(kind: str, tmp_path: Path) -> None:
    archive = tmp_path / "layer.tar"
    with tarfile.open(archive, "w") as tar:
        member = tarfile.TarInfo("../outside" if kind == "outside" else "file")
        if kind == "link":
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        for _ in range(2 if kind == "twice" else 1):
            tar.addfile(member)
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises((BundleError, FileExistsError)):
        unpack(archive, folder)
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("damage", [{"bundle": []}, {"cells": [{}]}, {"cells": None}])
def test_a_damaged_report_proves_nothing(damage: Any, bundle: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "scale"
    shutil.copytree(bundle.path, folder)
    report = json.loads((folder / REPORT).read_text())
    (folder / REPORT).write_text(json.dumps({**report, **damage}))
    with pytest.raises(UsageError, match="one that cannot be read"):
        portproof.publish(folder, str(tmp_path / "to"))


def test_a_key_of_another_kind_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_bytes(
        ed25519.Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    with pytest.raises(UsageError, match="no key of the curves"):
        portproof.publish(bundle.path, str(tmp_path / "to"), sign_key=key)


def without_report(folder: Path) -> None:
    (folder / REPORT).unlink()


def of_other_files(folder: Path) -> None:
    report = json.loads((folder / REPORT).read_text())
    (folder / REPORT).write_text(json.dumps({**report, "bundle": {"scale": "0" * 64}}))


def failed(folder: Path) -> None:
    report = json.loads((folder / REPORT).read_text())
    (folder / REPORT).write_text(json.dumps({**report, "ok": False}))


def wrong(folder: Path) -> None:
    report = json.loads((folder / REPORT).read_text())
    cell = next(cell for cell in report["cells"] if cell["verdict"] == "exact")
    cell |= {"verdict": "wrong", "detail": "off by 3 ULP"}
    (folder / REPORT).write_text(json.dumps({**report, "ok": False}))


def of_a_part(folder: Path) -> None:
    (folder / "report.json").unlink()  # of which the other cells would stay
    portproof.verify(folder, runtimes=["litert"])


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (without_report, "it has no report"),
        (of_other_files, "its report is of other files"),
        (failed, "does not say that it is proven"),
        (wrong, "that it is proven .*is wrong: off by 3 ULP"),
        (of_a_part, "its report proves nothing of savedmodel"),
    ],
)
def test_what_is_not_proven_is_not_published(
    damage: Any, reason: str, bundle: Bundle, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "scale"
    shutil.copytree(bundle.path, folder)
    damage(folder)
    with pytest.raises(UsageError, match=reason):
        portproof.publish(folder, str(tmp_path / "to"))
    assert not (tmp_path / "to").exists()
    portproof.publish(folder, str(tmp_path / "to"), version="v1", sign_key=keys[0], unverified=True)
    index = json.loads((tmp_path / "to" / "scale" / "index.json").read_text())
    assert index["versions"]["v1"]["verified"] is False
    content = (tmp_path / "to" / "scale" / "v1" / STATEMENT).read_bytes()
    assert signing.read_statement(content, keys[1])["predicate"]["result"] == "UNVERIFIED"


def test_the_statement_is_signed_and_lists_the_files_digests(
    bundle: Bundle, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    portproof.publish(bundle.path, str(tmp_path), version="v1", sign_key=keys[0])
    statement = signing.read_statement(
        (tmp_path / "scale" / "v1" / STATEMENT).read_bytes(), keys[1]
    )
    subjects = {s["name"]: s["digest"]["sha256"] for s in statement["subject"]}
    assert subjects[MANIFEST] == bundle.digest
    assert subjects == {MANIFEST: bundle.digest} | {
        file.path: file.sha256 for file in bundle.manifest.files
    }
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicate"]["result"] == "PASSED"
    verdicts = {cell["runtime"]: cell["verdict"] for cell in statement["predicate"]["cells"]}
    assert set(verdicts) == set(RUNTIMES)
    other_key = key_pair(tmp_path)[1]
    with pytest.raises(BundleError, match="not signed by the owner"):
        signing.read_statement((tmp_path / "scale" / "v1" / STATEMENT).read_bytes(), other_key)


@pytest.mark.slow
def test_a_killed_publisher_leaves_the_last_complete_release(
    bundle: Bundle, other: Bundle, tmp_path: Path
) -> None:
    portproof.publish(bundle.path, str(tmp_path), version="v0")
    started = time.monotonic()
    portproof.publish(other.path, str(tmp_path / "timed"), version="v0")
    command = [os.fspath(PORTPROOF), "publish"]
    done = subprocess.run([*command, other.path, tmp_path / "timed", "--version", "v1"], check=True)
    duration = time.monotonic() - started
    assert done.returncode == 0
    rng = random.Random(7)
    published = {"v0": bundle.digest}
    killed = 0
    for n in range(1, MOMENTS + 1):
        subject = (bundle, other)[n % 2]
        arguments = [*command, str(subject.path), str(tmp_path), "--version", f"v{n}"]
        process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
        time.sleep(rng.uniform(0.3, 1.0) * duration)
        process.send_signal(signal.SIGKILL)
        killed += process.wait() != 0
        with fetched(f"{tmp_path.as_uri()}/scale") as folder:
            digest = Bundle.open(folder).digest
        index = json.loads((tmp_path / "scale" / "index.json").read_text())
        assert index["latest"] in {*published, f"v{n}"}
        assert digest == (
            subject.digest if index["latest"] == f"v{n}" else published[index["latest"]]
        )
        # Publishing again completes the release.
        portproof.publish(subject.path, str(tmp_path), version=f"v{n}")
        published[f"v{n}"] = subject.digest
        index = json.loads((tmp_path / "scale" / "index.json").read_text())
        assert index["latest"] == f"v{n}"
        assert {v: entry["digest"] for v, entry in index["versions"].items()} == published
    assert killed > MOMENTS / 4  # or too few were killed to test anything


@pytest.mark.parametrize(
    ("destination", "message"),
    [
        ("oci://nohost", "no address of a registry"),
        ("oci://127.0.0.1:9/scale:v1", "refused"),
        ("nothing://x/y", "cannot be opened"),
        ("s3://", "names no folder"),
        ("/proc/nowhere", "No such file|not permitted"),
    ],
)
def test_an_invalid_destination_is_an_error(
    destination: str, message: str, bundle: Bundle, tmp_path: Path
) -> None:
    done = portproof_elsewhere(tmp_path, "publish", str(bundle.path), destination)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert re.search(message, done.stderr), done.stderr


@pytest.mark.parametrize("version", ["../up", "a/b", ".hidden", "index.json"])
def test_an_invalid_version_is_refused(version: str, bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a version is"):
        portproof.publish(bundle.path, str(tmp_path), version=version)
