"""Publishes bundles, and fetches what was published."""

import queue
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from portproof.bundle import temporary
from portproof.bundle.bundle import MANIFEST, Bundle
from portproof.bundle.errors import UsageError
from portproof.publishing.folders import Folders
from portproof.publishing.registry import Registry
from portproof.publishing.release import (
    INDEX,
    SUMS,
    Published,
    Release,
    check_release,
    prepare_release,
)

Store = Folders | Registry


def is_address(name: str) -> bool:
    """Whether something published is meant: by a URL, or by a folder that it was published to."""
    folder = Path(name)
    return "://" in name or (folder / SUMS).is_file() or _has_releases(folder)


def _has_releases(folder: Path) -> bool:
    return (folder / INDEX).is_file() and not (folder / MANIFEST).is_file()


def store_at(url: str) -> Store:
    """The store of a URL: `oci://` is a registry, any other is fsspec's; a path is a folder."""
    if url.startswith("oci://"):
        return Registry(url)
    return Folders(url if is_address(url) else str(Path(url).absolute()))


def publish_bundle(
    path: str | Path,
    destination: str,
    *,
    version: str = "",
    sign_key: Path | None = None,
    unverified: bool = False,
) -> str:
    """Publish the bundle at `path`, and return its address.

    Raises UsageError where it is not proven (unless `unverified`), where other bytes are published
    under the version, and where the destination refuses; BundleError where the bundle is not what
    was exported. A publication that was interrupted is continued by the next call.
    """
    bundle = Bundle.open(path)
    target = store_at(destination)
    with tempfile.TemporaryDirectory(dir=temporary.root()) as scratch:
        folder = Path(scratch, "release")
        folder.mkdir()
        if isinstance(target, Registry) and target.tag:
            if version not in ("", target.tag):
                raise UsageError(f"{destination} says {target.tag}, and --version {version}.")
            version = target.tag
        release = prepare_release(bundle, folder, version, sign_key, unverified=unverified)
        _put(target, release)
        return target.address(release)


def _put(target: Store, release: Release) -> None:
    published = target.published(release)
    if published is None:
        target.put(release)
    elif published != release.state:
        difference = _difference(published, release.state)
        raise UsageError(
            f"{target.address(release)} is published already, {difference}. A version "
            "does not change: give this one another, --version."
        )
    target.set_latest(release)


def _difference(published: Published, new: Published) -> str:
    """How what is published differs from what was to be published."""
    if published.digest != new.digest:
        return f"with other bytes (bundle {published.digest[:16]}, and this is {new.digest[:16]})"
    if published.verified != new.verified:
        return "as verified" if published.verified else "as not verified"
    return "signed" if published.signed else "without a signature"


# Seconds for all of a bundle, where nobody says how many.
FETCH_SECONDS = 3600.0


@contextmanager
def fetched(
    address: str, key: Path | None = None, seconds: float = FETCH_SECONDS
) -> Iterator[Path]:
    """A folder with the bundle that was published at an address, while the block lasts.

    Its signature (with a public `key`) and its digests are checked before anything parses it.
    Raises BundleError, and UsageError where the address cannot be read in so many seconds.
    """
    source = store_at(address)
    with tempfile.TemporaryDirectory(dir=temporary.root()) as scratch:
        folder = Path(scratch, "bundle")
        folder.mkdir()
        version = _within(seconds, address, partial(source.fetch, folder))
        check_release(folder, key, version)
        yield folder


def _within(seconds: float, address: str, fetch: Callable[[], str]) -> str:
    """The version that was fetched. Raises UsageError where that takes longer.

    A server that sends a byte now and then is late for no single read.
    """
    outcome: queue.SimpleQueue[str | BaseException] = queue.SimpleQueue()

    def work() -> None:
        try:
            outcome.put(fetch())
        except BaseException as error:  # for the thread that waits
            outcome.put(error)

    # One that is late is left to itself: nothing waits for it when the process ends.
    threading.Thread(target=work, daemon=True).start()
    try:
        result = outcome.get(timeout=seconds)
    except queue.Empty:
        raise UsageError(
            f"{address} was not fetched within {seconds:g} s: give it more, with --total-limit."
        ) from None
    if isinstance(result, BaseException):
        raise result
    return result
