"""What a runner in the sandbox cannot do, tried by programs and models that try it."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import tensorflow as tf

import portproof
from portproof.bundle import temporary
from portproof.bundle.bundle import Bundle
from portproof.bundle.errors import BundleError, UsageError
from portproof.runtimes.process import Limits, RunnerError, RunnerProcess
from portproof.runtimes.protocol import EXAMPLE_REQUEST, VERSION, Answer
from portproof.sandbox import bubblewrap, control_group, landlock
from portproof.sandbox import sandbox as module
from portproof.sandbox.sandbox import Sandbox, run_module, sandbox, variables_of

WAYS = {"bubblewrap": bubblewrap, "landlock": landlock}

# A runner that answers with what a piece of code gives, as a note.
PROGRAM = """
import ctypes, json, os, socket, sys, time
sys.stdin.readline()
def tried(attempt):
    try:
        return attempt()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
"""
ANSWER = (
    "\nprint(json.dumps({'seconds': 0, 'note': json.dumps(RESULT)}), flush=True)\ntime.sleep(9)"
)
HELLO = f'print(\'{{"ready": {{}}, "protocol": {VERSION}}}\', flush=True)\n'


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each way to keep a program, one after the other."""
    name: str = request.param
    if missing := WAYS[name].obstacle():
        pytest.skip(missing)
    monkeypatch.setattr(module, "_way", lambda: WAYS[name])
    return name


@pytest.fixture
def box(way: str) -> Iterator[Sandbox]:
    with sandbox() as made:
        assert made.name == way
        yield made


def confined(box: Sandbox, program: str, **limits: float) -> RunnerProcess:
    words = [sys.executable, "-c", HELLO + PROGRAM + program]
    memory = limits.get("memory", 8.0) * 2**30
    command = box.command(words, [], memory=memory)
    return RunnerProcess(command, variables_of({}), Limits(**limits), confined=True)


def result_of(box: Sandbox, expression: str, **limits: float) -> Any:
    """What an expression gives in the sandbox, in which `tried` turns an error into a text."""
    runner = confined(box, f"RESULT = {expression}{ANSWER}", **limits)
    try:
        answer, _ = runner.compute(EXAMPLE_REQUEST, {})
    finally:
        runner.stop()
    assert isinstance(answer, Answer)
    return json.loads(answer.note)


def test_no_file_of_the_user_is_seen(box: Sandbox, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    home = Path.home()
    for path in (secret, "/etc/shadow", "/etc/passwd", home / ".bashrc", "/root/.profile"):
        assert "Error" in result_of(box, f"tried(lambda: open({str(path)!r}).read())")


def test_root_has_no_rights_in_it(box: Sandbox) -> None:
    assert "CapEff:\t0000000000000000" in result_of(box, "open('/proc/self/status').read()")
    remount = ["mount", "-o", "remount,rw,bind", "/usr"]
    tried = f"__import__('subprocess').run({remount!r}, capture_output=True).returncode"
    assert result_of(box, tried)


def test_nothing_is_written_but_to_its_own_folder(box: Sandbox, tmp_path: Path) -> None:
    outside = tmp_path / "written"
    result_of(
        box,
        f"tried(lambda: (os.makedirs({str(tmp_path)!r}), open({str(outside)!r}, 'w').write('x')))",
    )
    assert not outside.exists()
    folders = (sys.prefix, "/usr", str(box.artifacts), "/", "/dev", "/proc", "/etc")
    for path in (f"{folder}/written" for folder in folders):
        assert "Error" in result_of(box, f"tried(lambda: open({path!r}, 'w').write('x'))")
        assert not Path(path).exists()


def test_the_kernel_counts_all_memory_where_systemd_runs(box: Sandbox) -> None:
    """Ten files in memory without a name, each within the limit of one file."""
    if missing := control_group.obstacle():
        pytest.skip(missing)
    one = "[n := os.memfd_create('x')] + [os.write(n, bytes(1 << 26)) for _ in range(8)]"
    code = f"[{one} for _ in range(10)]"
    with pytest.raises(RunnerError, match="killed by SIGKILL, as the kernel does"):
        result_of(box, code, memory=0.5)
    assert result_of(box, "len(bytes(1 << 26))", memory=0.5) == 1 << 26


@pytest.mark.usefixtures("way")
def test_a_module_that_is_killed_is_said(tmp_path: Path) -> None:
    code = "import os; os.kill(os.getpid(), 9)"
    with pytest.raises(UsageError, match="killed by SIGKILL, as the kernel does"):
        run_module("timeit", [code], readable=[], folder=tmp_path, seconds=60, on_line=print)


def filled(folder: str) -> str:
    """Code that writes two files into a folder, which are too large together."""
    opened = f"[open({folder} + name, 'wb') for name in ('/f', '/g')]"
    return f"[file.write(bytes(1 << 26)) for file in {opened} for _ in range(24)]"


def test_one_file_has_a_limit(box: Sandbox) -> None:
    """A file without a name too, which lies in memory that nobody counts."""
    code = "[os.write(n, bytes(1 << 26)) for n in [os.memfd_create('x')] for _ in range(40)]"
    assert "File too large" in result_of(box, f"tried(lambda: {code})")


def test_what_it_writes_has_a_limit(box: Sandbox) -> None:
    fill = filled("os.environ['TMPDIR']")
    if box.name == "bubblewrap":
        assert "No space left" in result_of(box, f"tried(lambda: {fill})")
    else:
        with pytest.raises(RunnerError, match="wrote more than 2,147,483,648 bytes"):
            result_of(box, f"tried(lambda: {fill})")
        assert not list(temporary.root().rglob("f"))


def test_shared_memory_has_a_limit_or_is_not_there(box: Sandbox) -> None:
    fill = filled("'/dev/shm'")
    wanted = {"bubblewrap": "No space left", "landlock": "Permission denied"}
    assert wanted[box.name] in result_of(box, f"tried(lambda: {fill})")


def test_no_network_is_seen(box: Sandbox, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        dial = f"tried(lambda: str(socket.create_connection({address!r}, 5)))"
        assert "Error" in result_of(box, dial)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(0.5)
        opened = "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)"
        result_of(box, f"tried(lambda: {opened}.sendto(b'x', {receiver.getsockname()!r}))")
        with pytest.raises(TimeoutError):
            receiver.recv(1)
    for address in (str(tmp_path / "socket"), f"\0{uuid.uuid4().hex}"):
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(address)
            server.listen()
            dial = f"tried(lambda: socket.socket(socket.AF_UNIX).connect({address!r}))"
            assert "Error" in (result_of(box, dial) or "connected")


def test_no_other_process_is_seen(box: Sandbox) -> None:
    seen = result_of(box, "[int(name) for name in os.listdir('/proc') if name.isdigit()]")
    assert os.getpid() not in seen
    assert len(seen) <= 3
    for own in (os.getpid(), os.getppid()):
        assert "Error" in result_of(box, f"tried(lambda: os.kill({own}, 0))")
        for name in ("environ", "cmdline", "mem", "fd/0"):
            read = f"tried(lambda: open('/proc/{own}/{name}', 'rb').read(1).decode())"
            assert "Error" in result_of(box, read)


def test_no_file_outside_is_changed_without_being_opened(box: Sandbox, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    before = file.stat()
    for change in (
        f"chmod({str(file)!r}, 0o777)",
        f"utime({str(file)!r})",
        f"remove({str(file)!r})",
    ):
        assert "Error" in result_of(box, f"tried(lambda: os.{change})")
    link = f"os.link({str(file)!r}, os.environ['TMPDIR'] + '/mine')"
    assert "Error" in result_of(box, f"tried(lambda: {link})")
    assert file.stat() == before


def test_few_variables_are_seen(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "secret")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    seen = result_of(box, "dict(os.environ)")
    assert "SECRET_TOKEN" not in seen
    assert seen["OMP_NUM_THREADS"] == "1"
    assert seen["HOME"] == seen["TMPDIR"]
    assert (seen["HOME"] == "/tmp") == (box.name == "bubblewrap")


def test_the_answers_channel_cannot_be_opened_by_a_path(box: Sandbox) -> None:
    forge = "[tried(lambda: open(f'/proc/self/fd/{n}', 'wb')) for n in (0, 1)]"
    assert all("Error" in text for text in result_of(box, forge))


SYSCALL = "(lambda number, *given: ctypes.CDLL(None, use_errno=True).syscall(number, *given))"


def test_limits_of_another_process_are_out_of_reach(box: Sandbox) -> None:
    set_limit = f"{SYSCALL}(302, os.getppid(), 0, (ctypes.c_uint64 * 2)(0, 0), None)"
    assert result_of(box, f"{set_limit} if os.getppid() > 1 else -1") == -1


def test_what_is_open_to_be_read_is_not_changed(box: Sandbox) -> None:
    program = Path(sys.executable).resolve()
    before = program.stat()
    opened = f"os.open({str(program)!r}, os.O_RDONLY)"
    for change in (f"os.fchmod({opened}, 0o4755)", f"os.fchown({opened}, -1, -1)"):
        assert "Error" in result_of(box, f"tried(lambda: {change})")
    set_flags = f"__import__('fcntl').ioctl({opened}, 0x40086602, bytes(8))"
    assert "Error" in result_of(box, f"tried(lambda: {set_flags})")
    assert program.stat() == before


@pytest.mark.parametrize("way", ["landlock"], indirect=True)
def test_no_socket_reaches_out(box: Sandbox) -> None:
    """Where addresses are read from memory that another process changes, calls are refused."""
    for family, kind, protocol in ((2, 1, 0), (2, 2, 0), (2, 1, 262), (10, 1, 0), (1, 2, 0)):
        make = f"tried(lambda: str(socket.socket({family}, {kind}, {protocol})))"
        assert "Error" in result_of(box, make)
    path = "socket.socket(socket.AF_UNIX).connect('/run/nothing')"
    assert "PermissionError" in result_of(box, f"tried(lambda: {path})")


def test_files_that_lie_too_deep_are_removed(box: Sandbox) -> None:
    deep = "[(os.mkdir('d' * 100), os.chdir('d' * 100)) for _ in range(1500)]"
    into = "os.chdir(os.environ['TMPDIR'])"
    with suppress(RunnerError):  # what is too deep to be counted is refused
        result_of(box, f"len(({into}, {deep})[1])")
    assert not [path for path in temporary.root().glob("*/*") if path.name == "d" * 100]


def test_a_temporary_folder_is_removed_however_deep(tmp_path: Path) -> None:
    folder = tmp_path / "deep"
    folder.mkdir()
    make = "import os\nfor _ in range(1500): os.mkdir('d' * 100); os.chdir('d' * 100)"
    subprocess.run([sys.executable, "-c", make], cwd=folder, check=True)
    unreadable = tmp_path / "unreadable"
    (unreadable / "inner").mkdir(parents=True)
    (unreadable / "inner" / "file").touch()
    (unreadable / "inner").chmod(0o300)
    for path in (folder, unreadable):
        temporary.remove(path)
        assert not path.exists()


def test_what_was_set_aside_for_standard_error_counts(box: Sandbox) -> None:
    keep_size = f"{SYSCALL}(285, 2, 1, ctypes.c_long(0), ctypes.c_long(1 << 28))"
    with pytest.raises(RunnerError, match="to standard error"):
        confined(box, f"assert not {keep_size}\ntime.sleep(9)").compute(EXAMPLE_REQUEST, {})


def test_a_crash_in_it_is_named(box: Sandbox) -> None:
    with pytest.raises(RunnerError, match="killed by SIGSEGV"):
        confined(box, "os.kill(os.getpid(), 11)").compute(EXAMPLE_REQUEST, {})
    with pytest.raises(RunnerError, match="killed by SIGKILL"):
        confined(box, "os.kill(os.getpid(), 9)").compute(EXAMPLE_REQUEST, {})
    with pytest.raises(RunnerError, match=r"exit status 3\): no space left"):
        confined(box, "print('no space left', file=sys.stderr); os._exit(3)").compute(
            EXAMPLE_REQUEST, {}
        )


def test_a_passed_limit_ends_all_of_it(box: Sandbox) -> None:
    mark = uuid.uuid4().hex
    words = f"['sh', '-c', 'sleep 600; : {mark}']"
    spawn = f"import subprocess; subprocess.Popen({words}, start_new_session=True)"
    with pytest.raises(RunnerError, match="time limit of 2 s"):
        confined(box, f"{spawn}\ntime.sleep(60)", request=2).compute(EXAMPLE_REQUEST, {})
    assert gone(mark)


def test_nothing_outlives_us_however_we_end(way: str) -> None:
    mark = uuid.uuid4().hex
    code = f'''
import os, signal, sys
from portproof.sandbox import {way}, sandbox as module
module._way = lambda: {way}
from portproof.runtimes.process import Limits, RunnerProcess
from portproof.runtimes.protocol import EXAMPLE_REQUEST
from portproof.sandbox.sandbox import sandbox, variables_of
import threading, time
with sandbox() as box:
    program = {HELLO!r} + """
import os
if not os.fork(): os.setsid(); os.fork()
while True: pass  # {mark}"""
    command = box.command([sys.executable, "-c", program], [], memory=1 << 30)
    runner = RunnerProcess(command, variables_of({{}}), Limits(), confined=True)
    threading.Thread(target=runner.compute, args=(EXAMPLE_REQUEST, {{}}), daemon=True).start()
    time.sleep(2)
    print("looping", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
'''
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert done.stdout == "looping\n"
    assert gone(mark)


def gone(mark: str, seconds: float = 3) -> bool:
    """Whether no process with a word in its command is left, within some seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not any(mark in word for word in _words()):
            return True
        time.sleep(0.1)
    return False


def _words() -> Iterator[str]:
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.status() != "zombie":
                yield from process.cmdline()
        except psutil.Error:
            continue


class Thief(tf.Module):  # type: ignore[misc]
    """Copies the variables of its process to a file, and overwrites another artifact."""

    def __init__(self, stolen: str, overwritten: str) -> None:
        super().__init__()
        self.stolen, self.overwritten = stolen, overwritten

    @tf.function(input_signature=[tf.TensorSpec((None, 2), tf.float32, name="x")])
    def double(self, x: Any) -> Any:
        secrets = tf.io.read_file("/proc/self/environ")
        with tf.control_dependencies(
            [
                tf.io.write_file(self.stolen, secrets),
                tf.io.write_file(self.overwritten, "other weights"),
            ]
        ):
            return {"y": 2.0 * x}


def test_a_model_that_writes_files_writes_none_outside(way: str, tmp_path: Path) -> None:
    stolen, overwritten = tmp_path / "stolen", tmp_path / "overwritten"
    model = Thief(str(stolen), str(overwritten))
    bundle = portproof.export(
        model,
        tmp_path / "thief",
        inputs={"x": np.array([[1, 2], [3, 4]], np.float32)},
        formats=["savedmodel"],
    )
    for path in (stolen, overwritten):
        path.unlink()  # exporting one's own model runs it as it is
    report = portproof.verify(bundle.path, runtimes=["tensorflow", "tensorflow-c"])
    assert report.environment.sandbox == way
    assert not stolen.exists()
    assert not overwritten.exists()
    trusted = portproof.verify(bundle.path, runtimes=["tensorflow"], trust=True)
    assert trusted.environment.sandbox == "none"
    assert stolen.exists()  # so it would have


def test_what_is_changed_after_it_was_checked_is_not_run(
    bundles: dict[str, Bundle], tmp_path: Path
) -> None:
    if missing := module.obstacle():
        pytest.skip(missing)
    shutil.copytree(bundles["quadratic"].path, tmp_path / "quadratic")
    bundle = Bundle.open(tmp_path / "quadratic")
    with sandbox() as box:
        admitted = box.admitted(bundle)
        [file, *_] = bundle.manifest.artifacts[0].files
        (bundle.path / file.path).write_bytes(b"other")
        assert admitted.artifact_path(file.path).read_bytes() != b"other"
        with pytest.raises(BundleError, match="was changed while it was read"):
            box.admitted(bundle)
    [vector, *_] = bundle.manifest.vectors
    (bundle.path / vector.file.path).write_bytes(b"other")
    with pytest.raises(BundleError, match="was changed while it was read"):
        bundle.read(vector)


def without_user_namespaces(*words: str) -> list[str]:
    """A command that runs another one where user namespaces are forbidden, as in a container."""
    seen = ("--dev-bind", "/", "/", "--proc", "/proc", "--unshare-user", "--unshare-pid")
    return [bubblewrap.program(), *seen, "--disable-userns", "--", *words]


def portproof_without_user_namespaces(*words: str, folder: Path) -> str:
    """What Portproof prints there. It ends with 0."""
    command = without_user_namespaces(sys.executable, "-m", "portproof", *words)
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_where_user_namespaces_are_forbidden_landlock_takes_over(
    bundles: dict[str, Bundle], tmp_path: Path
) -> None:
    if missing := bubblewrap.obstacle() or landlock.obstacle():
        pytest.skip(missing)
    assert subprocess.run(without_user_namespaces("unshare", "-U", "true"), check=False).returncode
    shutil.copytree(bundles["quadratic"].path, tmp_path / "quadratic")
    runtimes = ("litert", "tflite-micro", "tensorflow-c", "tfjs-node-wasm", "tfjs-chromium-wasm")
    only = [word for name in runtimes for word in ("--runtime", name)]
    portproof_without_user_namespaces("verify", "quadratic", *only, folder=tmp_path)
    report = json.loads((tmp_path / "quadratic" / "report.json").read_text())
    assert report["environment"]["sandbox"] == "landlock"
    assert {cell["runtime"] for cell in report["cells"]} >= set(runtimes)


@pytest.mark.slow
def test_where_user_namespaces_are_forbidden_all_of_it_works(
    bundles: dict[str, Bundle], tmp_path: Path
) -> None:
    if missing := bubblewrap.obstacle() or landlock.obstacle():
        pytest.skip(missing)
    shutil.copytree(bundles["quadratic_keras"].path, tmp_path / "quadratic_keras")
    portproof_without_user_namespaces("verify", "quadratic_keras", folder=tmp_path)
    [model] = (tmp_path / "quadratic_keras" / "keras").glob("*.keras")
    shutil.copyfile(model, tmp_path / "copied.keras")
    portproof_without_user_namespaces("export", "copied.keras", folder=tmp_path)
    again = ("verify", "artifacts/copied", "--recompute", "--runtime", "litert")
    assert "proven" in portproof_without_user_namespaces(*again, folder=tmp_path)


def test_a_program_that_starts_itself_without_end_is_ended(box: Sandbox) -> None:
    reason = {"bubblewrap": "started more than 512 processes", "landlock": "unavailable"}[box.name]
    with pytest.raises(RunnerError, match=reason):
        confined(box, "import subprocess\nwhile True: subprocess.Popen(['sleep', '600'])").compute(
            EXAMPLE_REQUEST, {}
        )


@pytest.mark.parametrize(
    ("options", "kilobytes", "says"),
    [
        ((), 24, "cannot be copied into"),
        (("--trust",), 1024, "failed tfjs-graph in tfjs-chromium-wasm"),
    ],
)
def test_a_full_temporary_folder_ends_in_a_reason_and_soon(
    bundles: dict[str, Bundle], tmp_path: Path, options: Sequence[str], kilobytes: int, says: str
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    shutil.copytree(bundles["quadratic"].path, tmp_path / "quadratic")
    mount = f'mount -t tmpfs -o size={kilobytes}k none "$0" && TMPDIR="$0" "$@"'
    command = ("unshare", "--map-root-user", "--mount", "sh", "-c", mount, str(small))
    if subprocess.run([*command, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this system lets nobody mount a small disk")
    words = ("verify", str(tmp_path / "quadratic"), "--runtime", "tfjs-chromium-wasm", *options)
    done = subprocess.run(
        [*command, sys.executable, "-m", "portproof", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert says in done.stdout + done.stderr


def test_a_model_whose_links_lead_out_of_its_folder_is_not_loaded(
    bundles: dict[str, Bundle], tmp_path: Path
) -> None:
    secret, model = tmp_path / "secret", tmp_path / "model"
    secret.write_text("secret")
    shutil.copytree(bundles["quadratic"].path / "savedmodel", model)
    (model / "assets.extra").symlink_to(secret)
    (model / "loop").symlink_to("loop")
    words = ("export", str(model), "--output", str(tmp_path / "out"))
    done = subprocess.run(
        [sys.executable, "-m", "portproof", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "assets.extra is a link that leads out of the folder" in done.stderr
    assert not (tmp_path / "out").exists()
