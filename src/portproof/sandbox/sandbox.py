"""What a runner sees of this machine while it runs artifacts that others may have made."""

import os
import shutil
import site
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from portproof.bundle import temporary
from portproof.bundle.bundle import Bundle
from portproof.bundle.digest import sha256_of
from portproof.bundle.errors import BundleError, UsageError
from portproof.sandbox import bubblewrap

# Of this process's variables, those that decide how a runtime computes and speaks.
_VARIABLES = (
    "CUDA_VISIBLE_DEVICES",
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


@dataclass(frozen=True)
class Sandbox:
    """Runners in it read the system, their own environment and the artifacts that were checked.

    They write into a folder of their own, which goes with them, and see no network, no other
    process and few of the variables of this one.

    Attributes:
        artifacts: The folder of the artifacts that were checked, in copies.
    """

    artifacts: Path
    name = "bubblewrap"

    def admitted(self, bundle: Bundle) -> Bundle:
        """The bundle with copies of its artifacts, which are the files that the manifest names.

        What happens to the bundle's own files from now on does not reach a runner. Raises
        BundleError where a file is no longer what it was when the bundle was opened.
        """
        folder = Path(tempfile.mkdtemp(dir=self.artifacts))
        for artifact in bundle.manifest.artifacts:
            for file in artifact.files:
                copy = folder / file.path
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(bundle.path / file.path, copy, follow_symlinks=False)
                if copy.is_symlink() or sha256_of(copy) != file.sha256:
                    raise BundleError(f"{bundle.path}: {file.path} was changed while it was read.")
        return replace(bundle, artifacts=folder)

    def command(
        self, words: Sequence[str], readable: Iterable[Path], *, network: bool
    ) -> list[str]:
        """A command that runs another one in the sandbox.

        Args:
            words: The program and its arguments.
            readable: What it may read beside the system, this Python and the artifacts.
            network: Whether it sees the machine's network.
        """
        shown = _shown([*readable, self.artifacts])
        return bubblewrap.wrapped(words, shown, _SCRATCH, network=network)


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
) -> int:
    """Run a module of Python in the sandbox, and return its exit status.

    Args:
        module: The module's name.
        arguments: Its arguments.
        readable: What it may read beside the system and this Python.
        folder: The one folder that it may write into, temporary files too.
        seconds: How long it may take. UsageError is raised after that.
        on_line: Called with each line that it prints, to whichever stream.
    """
    words = [sys.executable, "-P", "-m", module, *arguments]
    process = subprocess.Popen(
        bubblewrap.wrapped(words, _shown(readable), folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=variables_of({}),
        start_new_session=True,  # so that Ctrl-C is ours
    )
    late = threading.Timer(seconds, process.kill)
    late.start()
    assert process.stdout
    try:
        # Of a line without an end, so much at a time.
        while line := process.stdout.readline(_LONGEST_LINE):
            on_line(line.decode(errors="replace").rstrip())
        status = process.wait()
    finally:
        timely = late.is_alive()
        late.cancel()
        process.kill()  # what runs in it goes with it
        process.wait()
        process.stdout.close()
    if not timely:
        raise UsageError(f"it took more than {seconds:g} s: give it more, with --total-limit.")
    return status


def _shown(readable: Iterable[Path]) -> list[Path]:
    """What is shown: by the path that it is named with, and by the one that links lead to.

    What is inside of a folder that is shown is shown with it, and could not be put over it.
    """
    named = [*_python(), Path(__file__).parents[1], *readable]
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
    return bubblewrap.obstacle()


@contextmanager
def sandbox() -> Iterator[Sandbox]:
    """A sandbox for a while, after which no copy is left."""
    with tempfile.TemporaryDirectory(dir=temporary.root()) as folder:
        yield Sandbox(Path(folder))


@contextmanager
def sandbox_if_possible() -> Iterator[Sandbox | None]:
    """A sandbox for a while; None where there can be none, for bundles of the person's own."""
    if obstacle():
        yield None
        return
    with sandbox() as box:
        yield box
