"""Runs hostile inputs one by one, each watched: what it says, how long it takes, what it leaves."""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil

from verify.hostile.case import Hostile
from verify.hostile.draft import Bases
from verify.hostile.server import Server

# Seconds, beyond the limits that the commands are given (90 at most), after which one hangs.
_LIMIT, _GRACE = 90.0, 10.0
_SECRET = "hostile-secret-7f3a91"
_MARK = "HOSTILE_CASE"


@dataclass
class Result:
    """What came of an input; `problems` is empty where all is as it must be."""

    hostile: Hostile
    status: int
    seconds: float
    reason: str
    problems: list[str] = field(default_factory=list)


def run(all_cases: Sequence[Hostile], bases: Bases, folder: Path, workers: int) -> Iterator[Result]:
    """Run inputs, some side by side, and give the results in their order."""
    server = Server()
    with ThreadPoolExecutor(workers) as pool:
        one = [pool.submit(_watched, case, bases, folder, server) for case in all_cases]
        for future in one:
            yield future.result()
    server.shutdown()
    server.server_close()


def _watched(hostile: Hostile, bases: Bases, folder: Path, server: Server) -> Result:
    with tempfile.TemporaryDirectory(dir=folder, prefix="case-") as name:
        return _run(hostile, bases, Path(name), server)


def _run(hostile: Hostile, bases: Bases, place: Path, server: Server) -> Result:
    home, temporary, here = (place / part for part in ("home", "tmp", "here"))
    for made in (home, temporary, here):
        made.mkdir()
    secret, target = home / "secret", place / "escaped"
    secret.write_text(_SECRET)
    environment = {
        **os.environ,
        "HOME": str(home),
        "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache")),
        "TMPDIR": str(temporary),
        "SECRET_TOKEN": _SECRET,
        "COLUMNS": "200",
        _MARK: place.name,
    }
    words = hostile.build(here, replace(bases, secret=secret, target=target, server=server.url))
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "portproof", *words],
        cwd=place,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output = process.communicate(timeout=_LIMIT + _GRACE)[0].decode(errors="replace")
    except subprocess.TimeoutExpired:
        process.kill()
        output = process.communicate()[0].decode(errors="replace")
    seconds = time.monotonic() - started
    result = Result(hostile, process.returncode, seconds, _reason(output))
    result.problems = list(_problems(result, output, place, target, temporary))
    return result


def _reason(output: str) -> str:
    """The line that says what was wrong, or the last one."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    told = [line for line in lines if re.match(r"(error:|refused|wrong|failed)", line)]
    return (told or lines or ["nothing was said"])[-1 if not told else 0][:300]


def _problems(
    result: Result, output: str, place: Path, target: Path, temporary: Path
) -> Iterator[str]:
    hostile = result.hostile
    if result.seconds > _LIMIT + _GRACE:
        yield "it hung"
    if result.status not in hostile.status:
        yield f"exit status {result.status}, and {hostile.status} is right"
    if "Traceback (most recent call last)" in output:
        yield "a traceback"
    if 1 in hostile.status and result.status and not re.search(hostile.says, output):
        yield f"nothing like {hostile.says!r} is said"
    if re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", output.replace("\r\n", "\n")):
        yield "control characters are printed"
    if re.search(r"^(::error|::stop-commands|proven)", output, re.MULTILINE) and result.status:
        yield "a line is forged"
    if target.exists():
        yield "a file was written outside"
    if _SECRET in output or _leaked(place):
        yield "a secret got out"
    yield from _left(place, temporary)


def _leaked(place: Path) -> bool:
    """Whether a file that the command wrote has the secret."""
    files = (p for p in (place / "here").rglob("*") if p.is_file() and not p.is_symlink())
    return any(_SECRET.encode() in p.read_bytes() for p in files if p.stat().st_size < 1 << 28)


def _left(place: Path, temporary: Path) -> Iterator[str]:
    """Processes and folders that outlived the command."""
    time.sleep(0.1)
    for process in psutil.process_iter():
        try:
            if process.environ().get(_MARK) == place.name:
                yield f"a process is left: {' '.join(process.cmdline())[:80]}"
        except (psutil.Error, OSError):
            continue
    if left := [path.name for path in temporary.iterdir()]:
        yield f"left in the temporary folder: {', '.join(left)[:100]}"
    staged = [p.name for p in (place / "here").rglob(".*") if p.name != ".keras"]
    if staged := [name for name in staged if "new-" in name or "export-" in name]:
        yield f"left beside the bundle: {', '.join(staged)}"
