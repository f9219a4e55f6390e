"""How a bundle comes to a worker: once, and checked before anything parses it."""

import hashlib
import io
import shutil
import tarfile
import tempfile
import threading
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from portproof.bundle import temporary
from portproof.bundle.bundle import MANIFEST, Bundle
from portproof.bundle.errors import BundleError, UsageError
from portproof.publishing.stores import fetched

# Bytes of a bundle that the scheduler may hold; a larger one is to be published.
SMALL = 64 << 20
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


def packed(bundle: Bundle) -> bytes:
    """A bundle's files as a tar archive. Raises UsageError where it is not small."""
    names = [MANIFEST, *(file.path for file in bundle.manifest.files)]
    if sum((bundle.path / name).stat().st_size for name in names) > SMALL:
        raise UsageError(
            f"{bundle.path} has more than {SMALL >> 20} MiB, which a scheduler does not carry: "
            "publish it (portproof publish), and name its address."
        )
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name in names:
            archive.add(bundle.path / name, arcname=name)
    return content.getvalue()


# By digest, the bundles that this process has.
_bundles: dict[str, Bundle] = {}
_locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)


def bundle_of(source: BundleSource) -> Bundle:
    """The bundle, which is fetched once. Raises BundleError where it is another one."""
    with _locks[source.digest]:
        if source.digest not in _bundles:
            folder = Path(tempfile.mkdtemp(dir=temporary.root()), "bundle")
            try:
                _fetch(source, folder)
                bundle = Bundle.open(folder)
            except BaseException:
                temporary.remove(folder.parent)
                raise
            if bundle.digest != source.digest:
                raise BundleError(f"{bundle.manifest.model} was changed on its way.")
            _bundles[source.digest] = bundle
        return _bundles[source.digest]


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
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        archive.extractall(folder, filter="data")
