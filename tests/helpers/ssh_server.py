"""A real sshd on the loopback interface, which plays another machine."""

import os
import pwd
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import REPOSITORY
from tests.helpers.servers import free_ports

FOLDER = REPOSITORY / ".venv" / "openssh"
SSHD = FOLDER / "usr" / "sbin" / "sshd"
# It wants a user and a folder of its own, which it gets in a view of the system that only it has.
_VIEW = """
set -e
mount --make-rprivate /
mount --bind {passwd} /etc/passwd
mkdir -p /run/sshd
exec {command}
"""


@contextmanager
def ssh_server(folder: Path, host: str) -> Iterator[dict[str, str]]:
    """Gives the variables with which Portproof reaches it, by any address.

    Args:
        folder: An empty folder for keys and settings.
        host: What the machine calls itself.
    """
    [port] = free_ports(1)
    for name in ("host", "user"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(command, check=True)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    # Its cache is this one's, in which the runtimes are.
    cache = os.environ.get("XDG_CACHE_HOME", "")
    variables = {"PATH": path, "PORTPROOF_HOST": host, "XDG_CACHE_HOME": cache}
    given = " ".join(f"{name}={value}" for name, value in variables.items() if value)
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\n"
        f"AuthorizedKeysFile {folder}/user.pub\nStrictModes no\nPidFile none\n"
        f"PermitRootLogin yes\nSetEnv {given}\n"
    )
    (folder / "passwd").write_text(
        Path("/etc/passwd").read_text() + "sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin\n"
    )
    server = shlex.join([str(SSHD), "-D", "-e", "-f", str(folder / "sshd_config")])
    view = _VIEW.format(passwd=shlex.quote(str(folder / "passwd")), command=server)
    libraries = str(FOLDER / "usr" / "lib" / "x86_64-linux-gnu")
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", view],
            env={**os.environ, "LD_LIBRARY_PATH": libraries},
            stdout=log,
            stderr=log,
        )
        try:
            _wait(port, process, folder / "log")
            options = {
                "Port": port,
                "HostName": "127.0.0.1",
                "User": pwd.getpwuid(os.getuid()).pw_name,
                "IdentityFile": folder / "user",
                "UserKnownHostsFile": folder / "known",
                "StrictHostKeyChecking": "accept-new",
                "LogLevel": "ERROR",
            }
            lines = "".join(f"{name} {value}\n" for name, value in options.items())
            (folder / "config").write_text(lines)
            yield {"PORTPROOF_SSH": f"ssh -F {folder / 'config'}"}
        finally:
            process.terminate()
            process.wait()


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(100):
        assert process.poll() is None, log.read_text()[-2000:]
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(log.read_text()[-2000:])
