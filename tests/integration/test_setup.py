"""Environments of runtimes: made whole or not at all, by real uv and npm, and used without them."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import portproof
from portproof.bundle.bundle import REPORT, Bundle
from portproof.bundle.errors import SetupError
from portproof.bundle.report import Report
from portproof.runtimes.environments.environment import RECORD, run_tool
from portproof.runtimes.listing import runtime_states
from portproof.runtimes.table import select
from verify.versions.run import FAMILIES

PORTPROOF = Path(sys.executable).parent / "portproof"
OTHER = "litert@1.4.0"  # another version than the default one


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder; packages that were downloaded before are still there."""
    monkeypatch.setenv("PORTPROOF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def started(*arguments: str, before: tuple[str, ...] = (), **variables: str) -> subprocess.Popen:
    return subprocess.Popen(
        [*before, os.fspath(PORTPROOF), *arguments],
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # A shell has what it runs in the background ignore SIGINT, and so would this then.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def run(*arguments: str, before: tuple[str, ...] = (), **variables: str) -> tuple[int, str]:
    """The exit status, and all that was printed."""
    process = started(*arguments, before=before, **variables)
    printed, _ = process.communicate()
    assert "Traceback" not in printed
    return process.returncode, printed


def environments(cache: Path) -> list[str]:
    """The whole ones, and what an interrupted set-up may have left; locks are empty files."""
    folder = cache / "environments"
    return sorted(p.name for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []


def test_a_version_is_set_up_once_and_proves_a_bundle(
    cache: Path, bundles: dict[str, Bundle], tmp_path: Path
) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(bundles["quadratic_keras"].path, folder)
    arguments = ("verify", str(folder), "--runtime", OTHER)
    status, printed = run(*arguments)
    assert status == 0
    assert "setting up litert 1.4.0" in printed
    assert OTHER in printed
    report = Report.model_validate_json((folder / REPORT).read_text())
    assert report.requested == (OTHER,)
    assert report.environment.runtimes[OTHER] == {"ai-edge-litert": "1.4.0"}
    assert {cell.runtime for cell in report.cells if cell.passed} == {OTHER}
    # Once made it needs no network, and says nothing.
    again = ("verify", str(folder), "--runtime", OTHER)
    status, printed = run(*again, before=without_network())
    assert status == 0
    assert "setting up" not in printed
    states = {state.name: state for state in runtime_states()}
    assert states[OTHER].version == "1.4.0"
    assert states[OTHER].size > 10**7
    folder_of_other = states[OTHER].folder
    assert folder_of_other
    assert folder_of_other.is_relative_to(cache)
    assert states["litert"].version != "1.4.0"


def without_network() -> tuple[str, ...]:
    command = ("unshare", "--map-root-user", "--net")
    if not shutil.which("unshare") or subprocess.run([*command, "true"], check=False).returncode:
        pytest.skip("this system lets nobody make a network namespace")
    return command


@pytest.mark.slow
def test_two_processes_at_once_make_one_environment(cache: Path) -> None:
    both = [started("setup", OTHER), started("setup", OTHER)]
    printed = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert "".join(printed).count("set up litert 1.4.0: ") == 1
    [made] = environments(cache)
    assert (cache / "environments" / made / RECORD).is_file()


@pytest.mark.slow
def test_what_was_killed_in_the_middle_is_made_by_the_next_try(cache: Path, tmp_path: Path) -> None:
    # Without the packages that were downloaded before it takes long enough to be interrupted.
    process = started("setup", OTHER, UV_CACHE_DIR=str(tmp_path / "uv"))
    with ended_in_the_end(process):
        deadline = time.monotonic() + 60
        while not environments(cache) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.kill()  # uv, which it started, goes on for a while
        process.wait()
        [unfinished] = environments(cache)
        assert unfinished.startswith(".")
        assert not [state for state in runtime_states() if state.name == OTHER]
        status, printed = run("setup", OTHER)
    assert (status, printed.count("set up litert 1.4.0: ")) == (0, 1)
    run("setup", OTHER.replace("1.4", "1.3"))  # uv has ended, and what it still wrote goes too
    assert [name.rpartition("-")[0] for name in environments(cache)] == [
        "litert-1.3.0",
        "litert-1.4.0",
    ]
    assert [state.version for state in runtime_states() if state.name == OTHER] == ["1.4.0"]


@pytest.mark.slow
def test_after_ctrl_c_nothing_more_is_started(cache: Path, tmp_path: Path) -> None:
    names = FAMILIES["litert"].names
    process = started("setup", *names, UV_CACHE_DIR=str(tmp_path / "uv"))
    deadline = time.monotonic() + 60
    while not environments(cache) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in printed
    assert 0 < printed.count("setting up ") < len(FAMILIES["litert"].versions)
    unfinished = [name for name in environments(cache) if name.startswith(".")]
    assert unfinished == []
    assert len(environments(cache)) == printed.count("set up ")


@contextlib.contextmanager
def ended_in_the_end(process: subprocess.Popen) -> Iterator[None]:
    """What the process started is ended too, by its group."""
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.slow
def test_without_a_network_it_ends_in_one_message_and_succeeds_later(
    cache: Path, tmp_path: Path
) -> None:
    status, printed = run(
        "setup", OTHER, before=without_network(), UV_CACHE_DIR=str(tmp_path / "uv")
    )
    assert status == 1
    assert printed.splitlines()[0] == "setting up litert 1.4.0"
    [message] = printed.splitlines()[1:]
    assert message.startswith("error: litert 1.4.0 cannot be set up: uv says: ")
    assert environments(cache) == []
    assert run("setup", OTHER)[0] == 0


@pytest.mark.slow
def test_a_full_disk_ends_in_one_message_and_succeeds_later(cache: Path) -> None:
    cache.mkdir()
    script = 'mount -t tmpfs -o size=20m none "$1" && shift && "$@"; s=$?; ls -A "$PORTPROOF_CACHE"'
    script += '/environments | grep -v lock$; exit "$s"'
    command = ("unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh", str(cache))
    if subprocess.run([*command, "true"], check=False, capture_output=True).returncode == 32:
        pytest.skip("this system lets nobody mount a small disk")
    status, printed = run("setup", OTHER, before=command)
    assert status == 1
    [first, message] = printed.splitlines()
    assert first == "setting up litert 1.4.0"
    assert "No space left on device" in message
    assert run("setup", OTHER)[0] == 0


def test_of_a_long_message_the_reason_at_its_end_is_kept(tmp_path: Path) -> None:
    program = (
        "import sys; sys.exit('cannot write ' + 900 * '/folder' + ': No space left on device')"
    )
    with pytest.raises(SetupError) as raised:
        run_tool("uv", [sys.executable, "-c", program], tmp_path, os.environ)
    assert re.fullmatch(
        r"uv says: cannot write .* \.\.\. .*: No space left on device", str(raised.value)
    )
    assert len(str(raised.value)) < 800


def test_a_version_that_there_is_not_is_one_message(cache: Path) -> None:
    status, printed = run("setup", "litert@99.0")
    assert status == 1
    assert "there is no version of ai-edge-litert==99.0" in printed.splitlines()[-1]
    assert environments(cache) == []


@pytest.mark.usefixtures("cache")
def test_verify_goes_on_without_what_cannot_be_set_up(
    bundles: dict[str, Bundle], tmp_path: Path
) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(bundles["quadratic"].path, folder)
    report = portproof.verify(folder, runtimes=["litert", "litert@99.0"])
    assert report.exit_status == 3
    assert "there is no version of ai-edge-litert==99.0" in report.absent["litert@99.0"]
    assert {cell.runtime for cell in report.cells if cell.passed} == {"litert"}


def test_removing_leaves_the_others(cache: Path) -> None:
    run("setup", OTHER, "litert@1.3.0")
    assert len(environments(cache)) == 2
    hidden = cache / "environments" / ".litert-1.2.0-0123abcd.killed"
    hidden.mkdir()
    status, printed = run("setup", "--remove", OTHER)
    assert (status, printed) == (0, "removed litert@1.4.0\n")
    assert [name.split("-")[1] for name in environments(cache)] == ["1.3.0"]
    status, printed = run("setup", "--remove", OTHER)
    assert status == 2
    assert "there is no environment litert@1.4.0 to remove" in printed
    assert run("setup", "--remove")[0] == 0
    assert environments(cache) == []
    assert "make them with `portproof setup`" in run("setup", "--list")[1]


@pytest.mark.usefixtures("cache")
def test_a_user_s_own_packages_do_not_reach_an_environment(tmp_path: Path) -> None:
    (tmp_path / "numpy.py").write_text("raise SystemExit('the user has a numpy of their own')")
    portproof.set_up(OTHER)
    [runtime] = select([OTHER], [])
    assert runtime.missing() == ""
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        runtime.command(),
        env=environment,
        cwd=tmp_path,
        input="",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert '"ai-edge-litert":"1.4.0"' in done.stdout


def test_a_version_of_npm_that_is_none_of_python_is_listed(cache: Path) -> None:
    for version in ("4.10.0", "4.9.0-canary.x", "4.22.0"):
        [runtime] = select([f"tfjs-node-cpu@{version}"], [])
        assert runtime.environment
        runtime.environment.folder.mkdir(parents=True)
        record = {"name": "tfjs", "version": version, "size": 1}
        (runtime.environment.folder / RECORD).write_text(json.dumps(record))
    portproof.set_up("tfjs-node-cpu@4.10.0")  # Node, which is real
    versions = [s.version for s in runtime_states() if s.name.startswith("tfjs-node-cpu")]
    assert versions == ["4.22.0", "4.9.0-canary.x", "4.10.0"]
    assert cache.is_dir()


def test_a_user_s_settings_of_node_do_not_reach_a_runner(
    bundles: dict[str, Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hook.cjs").write_text("process.exit(9)")
    monkeypatch.setenv("NODE_OPTIONS", f"--require {tmp_path / 'hook.cjs'}")
    shutil.copytree(bundles["my_module"].path, tmp_path / "bundle")
    assert portproof.verify(tmp_path / "bundle", runtimes=["tfjs-node-cpu"]).ok


@pytest.mark.usefixtures("cache")
def test_a_project_s_settings_of_uv_do_not_reach_an_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither by a variable nor by a project in whose folder the cache is."""
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "x"\nversion = "1"\n[tool.uv]\nconstraint-dependencies = ["numpy<1"]\n'
    )
    (tmp_path / "constraints.txt").write_text("numpy<1\n")
    monkeypatch.setenv("UV_CONSTRAINT", str(tmp_path / "constraints.txt"))
    monkeypatch.setenv("UV_REQUIRE_HASHES", "1")
    monkeypatch.chdir(tmp_path)
    portproof.set_up(OTHER)
    assert OTHER in [state.name for state in runtime_states()]


@pytest.mark.usefixtures("cache")
def test_what_this_machine_lacks_for_a_named_runtime_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CHROME", "/no/such/browser")
    with pytest.raises(SetupError, match="CHROME is /no/such/browser, which is no program"):
        portproof.set_up("tfjs-chromium-webgl")
    monkeypatch.setenv("CC", "no-such-compiler -O3")
    with pytest.raises(SetupError, match="it needs a C compiler"):
        portproof.set_up("tensorflow-c")
