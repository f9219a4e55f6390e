"""A real registry and a real object store on the loopback interface."""

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.conftest import REPOSITORY

REGISTRY = REPOSITORY / ".venv" / "registry" / "usr" / "bin" / "docker-registry"
SCRIPTS = REPOSITORY / ".venv" / "bin"


def free_ports(count: int) -> list[int]:
    """Unused ports below 50000: for each, weed also takes the port 10000 above it."""
    ports: set[int] = set()
    while len(ports) < count:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        ports |= {port} if port < 50000 else set()
    return list(ports)


@contextmanager
def _running(command: list[str], folder: Path, ready: str) -> Iterator[None]:
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        try:
            _wait(ready, process, folder / "log")
            yield
        finally:
            process.kill()
            process.wait()


def _wait(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        assert process.poll() is None, log.read_text()[-2000:]
        try:
            urllib.request.urlopen(address, timeout=2).close()
        except urllib.error.HTTPError:
            return  # it answers, and requires a login
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(log.read_text()[-2000:])


@contextmanager
def registry(folder: Path, auth: dict[str, Any] | None = None) -> Iterator[str]:
    """Debian's docker-registry (CNCF distribution); gives its host and port.

    `auth` is that section of its configuration, for a registry that requires a login.
    """
    [port] = free_ports(1)
    config: dict[str, Any] = {
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": f"127.0.0.1:{port}"},
    }
    if auth:
        config["auth"] = auth
    (folder / "config.yml").write_text(json.dumps(config))  # which is YAML too
    command = [os.fspath(_installed(REGISTRY)), "serve", "config.yml"]
    with _running(command, folder, f"http://127.0.0.1:{port}/v2/"):
        yield f"127.0.0.1:{port}"


@contextmanager
def object_store(folder: Path) -> Iterator[dict[str, str]]:
    """SeaweedFS's S3 server; gives the environment variables that boto needs."""
    s3, master, volume, filer = free_ports(4)
    identity = {
        "name": "test",
        "credentials": [{"accessKey": "key", "secretKey": "secret"}],
        "actions": ["Admin", "Read", "Write", "List"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    (folder / "data").mkdir()
    command = [
        os.fspath(_installed(SCRIPTS / "weed")),
        "-logtostderr=true",
        "server",
        "-dir=data",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-master.telemetry=false",
        f"-master.port={master}",
        "-master.volumeSizeLimitMB=64",
        f"-volume.port={volume}",
        "-volume.max=20",
        "-volume.preStopSeconds=0",
        f"-filer.port={filer}",
        "-s3",
        f"-s3.port={s3}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-s3.config=s3.json",
    ]
    with _running(command, folder, f"http://127.0.0.1:{s3}/healthz"):
        yield {
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{s3}",
            "AWS_DEFAULT_REGION": "us-east-1",
        }


def _installed(program: Path) -> Path:
    assert program.is_file() or shutil.which(program.name), f"{program} is missing: make test"
    return program if program.is_file() else Path(shutil.which(program.name) or "")
