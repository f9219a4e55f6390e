"""How a bundle comes to a worker: once, and checked before anything parses it."""

import hashlib
import io
import shutil
import tempfile
import threading
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from portproof.bundle import temporary
from portproof.bundle.archives import pack_files, unpack_files
from portproof.bundle.bundle import MANIFEST, Bundle
from portproof.bundle.errors import BundleError, UsageError
from portproof.publishing.stores import fetched

# Bytes of a bundle that the scheduler may hold; a larger one is to be published.
SMALL = 512 << 20
# Seconds for the scheduler to give a bundle.
_SECONDS = 120.0


@dataclass(frozen=True)
class BundleSource:
    """Where a worker gets a bundle.

    Attributes:
        digest: The bundle's digest.
        address: Where it was published; empty: the scheduler has it.
        variable: The Dask variable that has it, as a tar archive.
        sha256: That archive's digest.
    """

    digest: str
    address: str = ""
    variable: str = ""
    sha256: str = ""


def check_size(bundle: Bundle) -> None:
    """Raises UsageError where a bundle is not small."""
    if sum((bundle.path / name).stat().st_size for name in _names(bundle)) > SMALL:
        raise UsageError(
            f"{bundle.path} has more than {SMALL >> 20} MiB, which a scheduler does not carry: "
            "publish it (portproof publish), and name its address."
        )


def packed(bundle: Bundle) -> bytes:
    """A bundle's files as a tar archive."""
    content = io.BytesIO()
    pack_files(content, bundle.path, _names(bundle))
    return content.getvalue()


def _names(bundle: Bundle) -> list[str]:
    names = dict.fromkeys([MANIFEST, *(file.path for file in bundle.manifest.files)])
    return [name for name in names if (bundle.path / name).is_file()]


# Bundles that a worker keeps which no task is at work on.
MAX_KEPT = 32


class BundleStore:
    """The bundles that this process has fetched, each once."""

    def __init__(self) -> None:
        self._bundles: OrderedDict[str, Bundle] = OrderedDict()  # the last used is the last
        self._used: Counter[str] = Counter()
        self._fetching: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._lock = threading.Lock()

    @contextmanager
    def bundle(self, source: BundleSource) -> Iterator[Bundle]:
        """The bundle, while the block lasts. Raises BundleError where it is another one."""
        with self._lock:
            self._used[source.digest] += 1
            fetching = self._fetching[source.digest]
        try:
            with fetching:
                bundle = self._bundles.get(source.digest) or _opened(source)
                with self._lock:
                    self._bundles[source.digest] = bundle
            yield bundle
        finally:
            with self._lock:
                self._used[source.digest] -= 1
                self._remove_oldest(source.digest)

    def _remove_oldest(self, used: str) -> None:
        if used in self._bundles:
            self._bundles.move_to_end(used)
        idle = [digest for digest in self._bundles if not self._used[digest]]
        for digest in idle[: max(0, len(idle) - MAX_KEPT)]:
            temporary.remove(self._bundles.pop(digest).path.parent)


STORE = BundleStore()


def _opened(source: BundleSource) -> Bundle:
    folder = Path(tempfile.mkdtemp(dir=temporary.root()), "bundle")
    try:
        _fetch(source, folder)
        return _checked(Bundle.open(folder), source)
    except BaseException:
        temporary.remove(folder.parent)
        raise


def _checked(bundle: Bundle, source: BundleSource) -> Bundle:
    if bundle.digest != source.digest:
        raise BundleError(f"{bundle.manifest.model} was changed on its way.")
    return bundle


def _fetch(source: BundleSource, folder: Path) -> None:
    if source.address:
        with fetched(source.address) as path:
            shutil.copytree(path, folder)
        return
    from distributed import Variable, get_client

    content = Variable(source.variable, client=get_client()).get(timeout=_SECONDS)
    if not isinstance(content, bytes) or hashlib.sha256(content).hexdigest() != source.sha256:
        raise BundleError("it was changed on its way to the worker.")
    folder.mkdir()
    unpack_files(io.BytesIO(content), folder)
