"""What a runner sees of this machine while it runs artifacts that others may have made."""

import os
import shutil
import signal
import site
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType, ModuleType

from portproof.bundle import temporary
from portproof.bundle.bundle import Bundle
from portproof.bundle.digest import sha256_of
from portproof.bundle.errors import BundleError, UsageError
from portproof.sandbox import bubblewrap, control_group, landlock
from portproof.sandbox.calls import Reach
from portproof.sandbox.usage import MAX_THREADS, family, free_memory, memory_of

# Of this process's variables, those that decide how a runtime computes and speaks.
_VARIABLES = (
    "CUDA_VISIBLE_DEVICES",
    "JAX_DEFAULT_MATMUL_PRECISION",
    "JAX_ENABLE_X64",
    "JAX_PLATFORMS",
    "KERAS_BACKEND",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LD_LIBRARY_PATH",
    "NVIDIA_TF32_OVERRIDE",
    "OMP_NUM_THREADS",
    "ONEDNN_MAX_CPU_ISA",
    "PATH",
    "PYTHONPATH",
    "TF_CPP_MIN_LOG_LEVEL",
    "TF_DETERMINISTIC_OPS",
    "TF_ENABLE_ONEDNN_OPTS",
    "TF_NUM_INTEROP_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_USE_LEGACY_KERAS",
    "TF_XLA_FLAGS",
    "TZ",
    "XLA_FLAGS",
)
# Bytes that one runner may write: TF.js in a browser and JAX keep what they compiled.
_SCRATCH = 2 << 30
_LONGEST_LINE = 1 << 16
_POLL = 0.5  # seconds between two looks at what one uses
_DISK_LEFT = 1 << 30  # bytes
KILLED_BY_KERNEL = "as the kernel does where there is no more memory for it"
_PATIENCE = 10.0  # seconds that a sandbox has to end what is in it


@dataclass(frozen=True)
class Sandbox:
    """Runners in it read the system, their own environment and the artifacts that were checked.

    They write into a folder of their own, which goes with them, and see no network, no other
    process and few of the variables of this one.

    Attributes:
        artifacts: The folder of the artifacts that were checked, in copies.
    """

    artifacts: Path

    @property
    def name(self) -> str:
        """What keeps the runners: bubblewrap or landlock."""
        return _way().__name__.rpartition(".")[2]

    def admitted(self, bundle: Bundle) -> Bundle:
        """The bundle with copies of its artifacts, which are the files that the manifest names.

        What happens to the bundle's own files from now on does not reach a runner. Raises
        BundleError where a file is no longer what it was when the bundle was opened, or there is no
        room for its copy.
        """
        folder = Path(tempfile.mkdtemp(dir=self.artifacts))
        for file in (file for artifact in bundle.manifest.artifacts for file in artifact.files):
            copy = folder / file.path
            try:
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(bundle.path / file.path, copy, follow_symlinks=False)
            except OSError as error:
                shutil.rmtree(folder)  # another bundle may find room
                raise BundleError(
                    f"{bundle.path}: {file.path} cannot be copied into {tempfile.gettempdir()}: "
                    f"{error.strerror}. Set TMPDIR to a folder with more room."
                ) from error
            if copy.is_symlink() or sha256_of(copy) != file.sha256:
                raise BundleError(f"{bundle.path}: {file.path} was changed while it was read.")
        return replace(bundle, artifacts=folder)

    def command(
        self,
        words: Sequence[str],
        readable: Iterable[Path],
        reach: Reach = "nothing",
        *,
        memory: float,
    ) -> list[str]:
        """A command that runs another one in the sandbox.

        Args:
            words: The program and its arguments.
            readable: What it may read beside the system, this Python and the artifacts.
            reach: What it may connect to.
            memory: Bytes of memory that it may have beside what it writes.
        """
        shown = _shown([*readable, self.artifacts])
        command = _way().wrapped(words, shown, _SCRATCH, reach=reach)
        return control_group.wrapped(command, memory + _SCRATCH, MAX_THREADS)


def variables_of(added: Mapping[str, str]) -> dict[str, str]:
    """All variables of a program in the sandbox that gets these."""
    kept = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
    # Where the packages of `pip install --user` are, which is below the home else.
    own = {"PYTHONUSERBASE": site.getuserbase()}
    return {**kept, **own, "HOME": bubblewrap.SCRATCH, "TMPDIR": bubblewrap.SCRATCH, **added}


def run_module(
    module: str,
    arguments: Sequence[str],
    *,
    readable: Iterable[Path],
    folder: Path,
    seconds: float,
    on_line: Callable[[str], None],
    variables: Mapping[str, str] = MappingProxyType({}),
) -> int:
    """Run a module of Python in the sandbox, and return its exit status.

    Args:
        module: The module's name.
        arguments: Its arguments.
        readable: What it may read beside the system and this Python.
        folder: The one folder that it may write into, temporary files too.
        seconds: How long it may take.
        on_line: Called with each line that it prints, to whichever stream.
        variables: Variables that it gets beside those that a program in the sandbox has.

    Raises UsageError where it takes longer than that, nine tenths of the memory that is free when
    it begins, or the last gibibyte of the disk (where less is free, half of that); also where
    somebody else killed it.
    """
    words = [sys.executable, "-P", "-m", module, *arguments]
    memory = 0.9 * free_memory()
    command = _way().wrapped(words, _shown(readable), folder)
    process = subprocess.Popen(
        control_group.wrapped(command, memory, MAX_THREADS),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=variables_of(variables),
        start_new_session=True,  # so that Ctrl-C is ours
    )
    watch = _Watch(process, folder, memory, time.monotonic() + seconds)
    watch.start()
    assert process.stdout
    try:
        # Of a line without an end, so much at a time.
        while line := process.stdout.readline(_LONGEST_LINE):
            on_line(line.decode(errors="replace").rstrip())
        status = process.wait()
    finally:
        watch.stop()
        end(process)
        process.stdout.close()
    if watch.passed:
        raise UsageError(watch.passed)
    if status in (-signal.SIGKILL, 128 + signal.SIGKILL):
        raise UsageError(f"it was killed by SIGKILL, {KILLED_BY_KERNEL}.")
    return status


class _Watch(threading.Thread):
    """Ends a process that passes a limit, which `passed` says then.

    Args:
        process: The process, with all that it starts.
        folder: What it writes into.
        memory: The most bytes of memory that it may have.
        until: The moment of `time.monotonic` at which it must have ended.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], folder: Path, memory: float, until: float
    ) -> None:
        super().__init__(daemon=True)
        self._process, self._folder = process, folder
        self._memory, self._until = memory, until
        self._disk = min(_DISK_LEFT, shutil.disk_usage(folder).free // 2)
        self._stopped = threading.Event()
        self.passed = ""

    def run(self) -> None:
        started = time.monotonic()
        while not self._stopped.wait(_POLL):
            used = memory_of(family(self._process.pid))
            if time.monotonic() > self._until:
                limit = self._until - started
                self.passed = f"it took more than {limit:.0f} s: give it more, with --total-limit."
            elif used > self._memory:
                free = self._memory / 2**30
                self.passed = (
                    f"it took more than {free:.1f} GiB of memory, nearly all that is free."
                )
            elif shutil.disk_usage(self._folder).free < self._disk:
                self.passed = f"it filled the disk of {self._folder.parent}: make some room there."
            if self.passed:
                self._process.terminate()
                return

    def stop(self) -> None:
        self._stopped.set()
        self.join()


def end(process: subprocess.Popen[bytes]) -> None:
    """End a sandbox that was started, and all that is in it."""
    process.terminate()
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _shown(readable: Iterable[Path]) -> list[Path]:
    """What is shown: by the path that it is named with, and by the one that links lead to.

    What is inside of a folder that is shown is shown with it, and could not be put over it.
    """
    named = [*_python(), Path(__file__).parents[2], *readable]
    paths = list(dict.fromkeys(p for path in named for p in (path.absolute(), path.resolve())))
    return [path for path in paths if not any(path.is_relative_to(p) for p in paths if p != path)]


def _python() -> list[Path]:
    """The folders of this Python, those too that links on the way to its program lead through."""
    folders = [Path(sys.prefix), Path(sys.base_prefix)]
    searched = [site.getusersitepackages()]
    for name in ("PYTHONPATH", "LD_LIBRARY_PATH"):
        searched += os.environ.get(name, "").split(os.pathsep)
    folders += [Path(path) for path in searched if path and Path(path).is_dir()]
    program = Path(sys.executable)
    while program.is_symlink():
        program = program.parent / program.readlink()
        folders.append(program.parent.parent)
    return folders


def obstacle() -> str:
    """Why there can be no sandbox on this machine, or nothing."""
    first = bubblewrap.obstacle()
    return first and (second := landlock.obstacle()) and f"{first}, and {second}"


@cache
def _way() -> ModuleType:
    """bubblewrap; where it does not run, Landlock, which leaves a program the machine's view."""
    return landlock if bubblewrap.obstacle() else bubblewrap


@contextmanager
def sandbox() -> Iterator[Sandbox]:
    """A sandbox for a while, after which no copy is left."""
    with temporary.own_folder() as folder:
        yield Sandbox(folder)


@contextmanager
def sandbox_if_possible() -> Iterator[Sandbox | None]:
    """A sandbox for a while; None where there can be none, for bundles of the person's own."""
    if obstacle():
        yield None
        return
    with sandbox() as box:
        yield box
