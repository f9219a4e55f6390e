"""Releases in folders at a URL of fsspec: NAME/VERSION/..., and NAME/index.json over them.

A release is there when its sums are, which are written last; a reader goes by the index, which is
replaced after that. So whenever a publisher dies, a reader finds the last whole release.
"""

import contextlib
import hashlib
import json
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from portproof.bundle import atomic
from portproof.bundle.bundle import MANIFEST
from portproof.bundle.digest import sha256_of
from portproof.bundle.errors import BundleError, UsageError, library_errors_as_usage_error
from portproof.bundle.reading import MANIFEST_LIMIT, copied, joined
from portproof.bundle.text import shortened
from portproof.publishing import signing
from portproof.publishing.release import (
    INDEX,
    SIGNATURE,
    STATEMENT,
    SUMS,
    Published,
    Release,
    is_name,
    parse_sum,
)

SCHEMA = "portproof/index/1"
_CHUNK = 1 << 20
_KEPT_FREE = 1 << 30  # bytes of a disk that nothing fetched may take


class Folders:
    """A URL below which releases are."""

    def __init__(self, url: str) -> None:
        from fsspec.core import url_to_fs

        self.url = url.rstrip("/")
        with library_errors_as_usage_error(f"{url} cannot be opened"):
            self._fs, root = url_to_fs(url, use_listings_cache=False)
        self._root = str(root).rstrip("/")
        if not self._root:
            raise UsageError(f"{url} names no folder: {url}bucket/models, say.")

    def address(self, release: Release) -> str:
        return f"{self.url}/{release.model}/{release.version}"

    def published(self, release: Release) -> Published | None:
        """What is published whole under this version; None where nothing is."""
        with library_errors_as_usage_error(self.url):
            folder = f"{release.model}/{release.version}"
            sums = self._read(f"{folder}/{SUMS}")
            if sums is None:
                return None
            listed = dict(parse_sum(line) for line in sums.decode().splitlines())
            statement = signing.read_statement(self._read(f"{folder}/{STATEMENT}") or b"", None)
            verified = statement["predicate"]["result"] == "PASSED"
            signed = self._read(f"{folder}/{SIGNATURE}") is not None
            return Published(listed.get(MANIFEST, ""), verified, signed)

    def put(self, release: Release) -> None:
        """Write the files that are not there yet, the sums last."""
        with library_errors_as_usage_error(self.url):
            for path in release.files:
                target = f"{release.model}/{release.version}/{path}"
                if path == SUMS or not self._is_there(target, release.folder / path):
                    self._put(release.folder / path, target)

    def set_latest(self, release: Release) -> None:
        """Make the index name this release as the latest."""
        with library_errors_as_usage_error(self.url):
            text = self._read(f"{release.model}/{INDEX}")
            versions = self._index(text)["versions"] if text else {}
            state = release.state
            versions[release.version] = {"digest": state.digest, "verified": state.verified}
            index = {
                "schema": SCHEMA,
                "model": release.model,
                "latest": release.version,
                "versions": versions,
            }
            self._write(f"{release.model}/{INDEX}", json.dumps(index, indent=2).encode() + b"\n")

    def fetch(self, folder: Path) -> str:
        """Copy the release at this URL, or the latest of the model at it, into a folder.

        Returns the version that it should be.
        """
        with library_errors_as_usage_error(self.url):
            prefix, version = "", self._root.split("/")[-1]
            if (index := self._read(INDEX)) is not None:
                version = self._index(index)["latest"]
                prefix = f"{version}/"
            listed = self._read(f"{prefix}{SUMS}")
            if listed is None:
                raise BundleError(
                    f"{self.url} holds no published bundle: it has no {SUMS}.{self._below()}"
                )
            (folder / SUMS).write_bytes(listed)
            for line in listed.decode(errors="replace").splitlines():
                path, _ = parse_sum(line)
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                if not self._copy(f"{prefix}{path}", folder / path):
                    raise BundleError(f"{self.url}: {path} is in {SUMS} and not there.")
            if (signature := self._read(f"{prefix}{SIGNATURE}")) is not None:
                (folder / SIGNATURE).write_bytes(signature)
            return version

    def _below(self) -> str:
        """What is published in the folders of this one, where the store lists them."""
        with contextlib.suppress(Exception):  # of the store's own kinds
            paths = [f"{folder.rstrip('/')}/{INDEX}" for folder in self._fs.ls(self._root, False)]
            found = [path.split("/")[-2] for path in paths if self._fs.exists(path)]
            if found:
                return f" Below it are: {shortened(sorted(found), 5)}."
        return ""

    def _index(self, text: bytes) -> dict[str, Any]:
        """Read an index. Raises BundleError where it is none, or has names that lead elsewhere."""
        try:
            index: dict[str, Any] = json.loads(text)
            if is_name(index["latest"]) and all(map(is_name, index["versions"])):
                return index
        except (KeyError, TypeError, ValueError, RecursionError):
            pass
        raise BundleError(f"{self.url}: {INDEX} is damaged.")

    @property
    def _is_local(self) -> bool:
        from fsspec.implementations.local import LocalFileSystem

        return isinstance(self._fs, LocalFileSystem)

    def _read(self, path: str) -> bytes | None:
        """A small file; None where there is none. Raises BundleError where it is no small one."""
        try:
            with self._stream(path) as stream:
                return joined(_pieces(stream), MANIFEST_LIMIT)
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise BundleError(f"{self.url}: {path}: {error}.") from error

    def _stream(self, path: str) -> Any:
        """A file as it comes: whatever a server says of its size, and however it has to be read."""
        is_http = "http" in self._fs.protocol
        # Without blocks fsspec reads on, and asks for no part of a file.
        return self._fs.open(f"{self._root}/{path}", "rb", block_size=0 if is_http else None)

    def _copy(self, path: str, target: Path) -> bool:
        """Copy a file here. False where there is none; BundleError where the disk would be full."""
        room = shutil.disk_usage(target.parent).free - _KEPT_FREE
        try:
            with self._stream(path) as stream, target.open("wb") as copy:
                copied(_pieces(stream), copy, room)
        except FileNotFoundError:
            return False
        except ValueError as error:
            raise BundleError(
                f"{self.url}: {path} is larger than the disk has room: {error}."
            ) from error
        return True

    def _is_there(self, path: str, local: Path) -> bool:
        """Whether the same bytes are there, from a publication that did not come to its end."""
        target = f"{self._root}/{path}"
        try:
            if self._fs.info(target)["size"] != local.stat().st_size:
                return False
        except FileNotFoundError:
            return False
        with self._fs.open(target, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == sha256_of(local)

    def _put(self, local: Path, path: str) -> None:
        """A whole file, or what was there. On an object store a put is that already."""
        target = f"{self._root}/{path}"
        if not self._is_local:
            self._fs.put_file(str(local), target)
            return
        with atomic.file(Path(target)) as staging, local.open("rb") as stream:
            shutil.copyfileobj(stream, staging, _CHUNK)

    def _write(self, path: str, content: bytes) -> None:
        target = f"{self._root}/{path}"
        if not self._is_local:
            self._fs.pipe_file(target, content)
            return
        with atomic.file(Path(target)) as staging:
            staging.write(content)


def _pieces(stream: Any) -> Iterator[bytes]:
    """What a server sends, which is as much at a time as it likes."""
    return iter(partial(stream.read, _CHUNK), b"")
