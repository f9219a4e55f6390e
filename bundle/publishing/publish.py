"""Publishes bundles, and fetches what was published."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bundle.bundle import Bundle
from bundle.errors import UsageError
from bundle.publishing import release as releases
from bundle.publishing.folders import Folders
from bundle.publishing.registry import Registry
from bundle.publishing.release import Published, Release

Store = Folders | Registry


def is_address(name: str) -> bool:
    return "://" in name


def store(url: str) -> Store:
    """What is behind a URL: `oci://` is a registry, any other is fsspec's; a path is a folder."""
    if url.startswith("oci://"):
        return Registry(url)
    return Folders(url if is_address(url) else str(Path(url).absolute()))


def publish(
    path: str | Path,
    destination: str,
    *,
    version: str = "",
    sign_key: Path | None = None,
    unverified: bool = False,
) -> str:
    """Publish the bundle at `path`, and return its address.

    Raises UsageError where it is not proven (unless `unverified`), where other bytes stand under
    the version, and where the destination refuses; BundleError where the bundle is not what was
    exported. What was interrupted goes on when it is done again.
    """
    bundle = Bundle.open(path)
    target = store(destination)
    with tempfile.TemporaryDirectory(prefix="portproof-") as scratch:
        folder = Path(scratch, "release")
        folder.mkdir()
        if isinstance(target, Registry) and target.tag:
            if version not in ("", target.tag):
                raise UsageError(f"{destination} says {target.tag}, and --version {version}.")
            version = target.tag
        made = releases.prepare(bundle, folder, version, sign_key, unverified=unverified)
        _put(target, made)
        return target.address(made)


def _put(target: Store, made: Release) -> None:
    there = target.published(made)
    if there is None:
        target.put(made)
    elif there != made.state:
        raise UsageError(
            f"{target.address(made)} is published already, {_other(there, made.state)}. A version "
            "does not change: give this one another, --version."
        )
    target.point(made)


def _other(there: Published, here: Published) -> str:
    """How what is published differs from what was to be."""
    if there.digest != here.digest:
        return f"with other bytes (bundle {there.digest[:16]}, and this is {here.digest[:16]})"
    if there.verified != here.verified:
        return "as verified" if there.verified else "as not verified"
    return "signed" if there.signed else "without a signature"


@contextmanager
def fetched(address: str, key: Path | None = None) -> Iterator[Path]:
    """A folder with the bundle that was published at an address, while the block lasts.

    Its signature (with a public `key`) and its digests are checked before anything parses it.
    Raises BundleError, and UsageError where the address cannot be read.
    """
    source = store(address)
    with tempfile.TemporaryDirectory(prefix="portproof-") as scratch:
        folder = Path(scratch, "bundle")
        folder.mkdir()
        version = source.fetch(folder)
        releases.check(folder, key, version)
        yield folder
