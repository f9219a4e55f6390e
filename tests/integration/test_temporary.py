"""What killed processes leave goes with the next start, and what others are at work on stays."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from portproof.bundle import atomic, temporary

AT_WORK = """
import sys, time
from pathlib import Path
from portproof.bundle import atomic, temporary
with atomic.folder(Path(sys.argv[1])) as staging:
    (staging / "half").write_text("half")
    (temporary.root() / "scratch").write_text("scratch")
    print("at work", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[str]]:
    """A process that is making `tmp_path/target`, with temporary files in `tmp_path/tmp`."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    command = [sys.executable, "-c", AT_WORK, str(tmp_path / "target")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "at work\n"
        yield process
        process.kill()


def starts(tmp_path: Path) -> None:
    """Another process starts, and makes the same target."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom portproof.bundle import atomic, temporary\n"
        "temporary.root()\nwith atomic.folder(Path(sys.argv[1])): pass"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "target")], check=True)


def left(tmp_path: Path) -> list[str]:
    staging = [path.name for path in tmp_path.glob(".target*")]
    return staging + [path.name for path in (tmp_path / "tmp").iterdir()]


def test_what_a_killed_process_left_goes_with_the_next(
    at_work: subprocess.Popen[str], tmp_path: Path
) -> None:
    os.kill(at_work.pid, signal.SIGKILL)
    at_work.wait()
    assert len(left(tmp_path)) == 2
    starts(tmp_path)
    assert left(tmp_path) == []
    assert (tmp_path / "target").is_dir()


def test_what_another_process_is_at_work_on_stays(
    at_work: subprocess.Popen[str], tmp_path: Path
) -> None:
    starts(tmp_path)
    assert len(left(tmp_path)) == 2
    assert at_work.poll() is None


def test_a_folder_that_is_in_the_way_of_nobody_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / ".target.old").mkdir()
    (tmp_path / ".target.new-link").symlink_to(tempfile.gettempdir())
    with atomic.folder(tmp_path / "target") as staging:
        assert staging.is_dir()
    assert (tmp_path / ".target.old").is_dir()
    assert Path(tempfile.gettempdir()).is_dir()
    assert temporary.root().is_dir()
