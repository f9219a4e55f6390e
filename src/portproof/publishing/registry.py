"""Releases in an OCI registry: `oci://host/repository:tag`, each artifact a layer of its own kind.

The manifest of the bundle is the image's config, an artifact a tar archive with the media type
`application/vnd.portproof.FORMAT.v1.tar`, so that a client can pull the one format that it wants.
A tag is moved in one step, so a reader never sees half of a release.
"""

import json
import os
import re
import tarfile
from pathlib import Path
from typing import Any

from portproof.bundle.archives import unpack_files
from portproof.bundle.bundle import MANIFEST, Bundle
from portproof.bundle.digest import sha256_of
from portproof.bundle.errors import BundleError, UsageError, library_errors_as_usage_error
from portproof.bundle.reading import copied, joined
from portproof.publishing.release import Published, Release

ARTIFACT_TYPE = "application/vnd.portproof.bundle.v1"
CONFIG_TYPE = "application/vnd.portproof.manifest.v1+json"
_MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
_TITLE = "org.opencontainers.image.title"
_VERIFIED, _SIGNED = "dev.portproof.verified", "dev.portproof.signed"
# https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests
_REFERENCE = re.compile(
    r"(?P<host>[A-Za-z0-9.-]+(?::\d+)?)/(?P<repository>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?"
)
_CHUNKED = 64 << 20  # bytes, above which a layer is sent in parts
# What registries accept at most (OCI distribution specification, "Pushing Manifests").
_MAX_MANIFEST = 4 << 20
_LOGIN = "{0} wants a login: docker login {0}, or oras login {0}."
_TIMEOUT = (10, 300)  # seconds to connect, and to wait for an answer


def media_type(layer: str) -> str:
    """Of the layer of an artifact, by its folder, or of `vectors` or `about`."""
    return f"application/vnd.portproof.{layer}.v1.tar"


class Registry:
    """A repository in a registry, and a tag in it or none."""

    def __init__(self, url: str) -> None:
        reference = _REFERENCE.fullmatch(url.removeprefix("oci://"))
        if not reference:
            raise UsageError(f"{url} is no address of a registry: oci://host/repository:tag.")
        self.url, self.tag = url, reference["tag"]
        self._host, self._repository = reference["host"], reference["repository"]

    def address(self, release: Release) -> str:
        return f"oci://{self._host}/{self._repository_of(release)}:{self._tag(release)}"

    def _repository_of(self, release: Release) -> str:
        """The repository: where no tag is given, one for each model below it."""
        return self._repository if self.tag else f"{self._repository}/{release.model.lower()}"

    def _client(self, release: Release) -> "_Client":
        return _Client(self._host, self._repository_of(release))

    def _tag(self, release: Release) -> str:
        return self.tag or release.version

    def published(self, release: Release) -> Published | None:
        """What is published under this tag; None where nothing is."""
        with library_errors_as_usage_error(self.url):
            manifest = self._client(release).manifest(self._tag(release))
            if not manifest:
                return None
            notes = manifest.get("annotations", {})
            sha256 = manifest["config"]["digest"].removeprefix("sha256:")
            return Published(sha256, notes.get(_VERIFIED) == "true", notes.get(_SIGNED) == "true")

    def put(self, release: Release) -> None:
        """Send the layers that the registry does not have, then the tag."""
        with library_errors_as_usage_error(self.url):
            client = self._client(release)
            layers = _layers(release)
            config = {
                "mediaType": CONFIG_TYPE,
                "digest": f"sha256:{release.state.digest}",
                "size": (release.folder / MANIFEST).stat().st_size,
            }
            client.upload(release.folder / MANIFEST, config)
            descriptors = [
                client.upload(path, _descriptor(path, name)) for name, path in layers.items()
            ]
            client.tag(
                self._tag(release),
                {
                    "schemaVersion": 2,
                    "mediaType": _MANIFEST_TYPE,
                    "artifactType": ARTIFACT_TYPE,
                    "config": config,
                    "layers": descriptors,
                    "annotations": {
                        _TITLE: release.model,
                        "org.opencontainers.image.version": release.version,
                        _VERIFIED: str(release.state.verified).lower(),
                        _SIGNED: str(release.state.signed).lower(),
                    },
                },
            )

    def set_latest(self, release: Release) -> None:
        """Let `latest` be this release too."""
        with library_errors_as_usage_error(self.url):
            client = self._client(release)
            manifest = client.manifest(self._tag(release))
            if manifest:
                client.tag("latest", manifest)

    def fetch(self, folder: Path) -> str:
        """Unpack the release under the tag, or the latest one, into a folder.

        Returns the version that it should be, where the tag says it.
        """
        with library_errors_as_usage_error(self.url):
            client = _Client(self._host, self._repository)
            manifest = client.manifest(self.tag or "latest")
            if not manifest or manifest.get("artifactType") != ARTIFACT_TYPE:
                raise BundleError(f"{self.url} holds no published bundle.")
            client.download(manifest["config"], folder / MANIFEST)
            for layer in manifest["layers"]:
                archive = folder / ".layer.tar"
                client.download(layer, archive)
                unpack(archive, folder)
                archive.unlink()
            return self.tag if self.tag and self.tag != "latest" else ""


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a layer that is not checked yet."""
    with archive.open("rb") as stream:
        unpack_files(stream, folder)


def _layers(release: Release) -> dict[str, Path]:
    """A tar archive for each artifact, for the vectors, and for the rest of the files, by name.

    The same files give the same bytes: without times and owners.
    """
    manifest = Bundle.open_unchecked(release.folder).manifest
    folders = [*(artifact.folder for artifact in manifest.artifacts), "vectors"]
    parts: dict[str, list[str]] = {name: [] for name in (*folders, "about")}
    for path in release.files:
        if path != MANIFEST:
            first = path.split("/")[0]
            parts[first if first in folders else "about"].append(path)
    archives = {}
    for name, paths in parts.items():
        archives[name] = release.folder.with_name(f"{name}.tar")
        with tarfile.open(archives[name], "w", format=tarfile.PAX_FORMAT) as archive:
            for path in paths:
                archive.add(release.folder / path, path, filter=_anonymous)
    return archives


def _anonymous(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = info.mtime = 0
    info.uname = info.gname = ""
    info.mode = 0o644
    return info


def _descriptor(path: Path, name: str) -> dict[str, Any]:
    return {
        "mediaType": media_type(name),
        "digest": f"sha256:{sha256_of(path)}",
        "size": path.stat().st_size,
        "annotations": {_TITLE: f"{name}.tar"},
    }


class _Client:
    """oras with time limits, and without its retries, which take 131 s even where none helps."""

    def __init__(self, host: str, repository: str) -> None:
        try:
            import oras.container
            import oras.provider
            import requests
        except ImportError:
            raise UsageError("For a registry: pip install 'portproof[publish]'.") from None

        class Session(requests.Session):  # type: ignore[misc]
            def request(self, *args: Any, **rest: Any) -> Any:
                return super().request(*args, **{"timeout": _TIMEOUT, **rest})

        class Provider(oras.provider.Registry):  # type: ignore[misc]
            def do_request(self, *args: Any, **rest: Any) -> Any:
                ask = oras.provider.Registry.do_request.__wrapped__
                answer = ask(self, *args, **rest)
                if answer.status_code == 401 and getattr(self.auth, "token", None):
                    self.auth.token = None  # it was for reading, and this writes
                    answer = ask(self, *args, **rest)
                return answer

        insecure = host.split(":")[0] in ("localhost", "127.0.0.1")
        session = Session()
        scheme = "http" if insecure else "https"
        challenge = session.get(f"{scheme}://{host}/v2/").headers.get("WWW-Authenticate", "")
        basic = challenge.lower().startswith("basic")
        self._oras = Provider(insecure=insecure, auth_backend="basic" if basic else "token")
        self._oras.session = self._oras.auth.session = session
        self._oras.auth.prefix = self._oras.prefix
        self._container = oras.container.Container(f"{host}/{repository}")
        # It takes a host without a dot or a port for a name on Docker Hub.
        self._container.registry, self._container.namespace = host, None
        self._container.repository = repository
        folder = os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker"
        config = Path(folder, "config.json")
        self._oras.auth.load_configs(self._container, [str(config)] if config.is_file() else None)
        if basic and not getattr(self._oras.auth, "_basic_auth", None):
            raise UsageError(_LOGIN.format(host))

    def _url(self, reference: str) -> str:
        base = f"{self._oras.prefix}://{self._container.registry}/v2/{self._container.repository}"
        return f"{base}/manifests/{reference}"

    def manifest(self, reference: str) -> dict[str, Any] | None:
        headers = {"Accept": _MANIFEST_TYPE}
        answer = self._oras.do_request(self._url(reference), "GET", headers=headers, stream=True)
        with answer:
            if answer.status_code == 404:
                return None
            try:
                content = joined(self._checked(answer).iter_content(1 << 16), _MAX_MANIFEST)
            except ValueError as error:
                raise BundleError(f"the registry's manifest of {reference}: {error}.") from error
        manifest: dict[str, Any] = json.loads(content)
        return manifest

    def tag(self, reference: str, manifest: dict[str, Any]) -> None:
        headers = {"Content-Type": _MANIFEST_TYPE}
        body = json.dumps(manifest).encode()
        self._checked(
            self._oras.do_request(self._url(reference), "PUT", headers=headers, data=body)
        )

    def upload(self, path: Path, descriptor: dict[str, Any]) -> dict[str, Any]:
        chunked = descriptor["size"] > _CHUNKED
        try:
            answer = self._oras.upload_blob(
                str(path), self._container, descriptor, do_chunked=chunked
            )
        except ValueError as error:
            if re.search("UNAUTHORIZED|DENIED", str(error)):
                raise UsageError(_LOGIN.format(self._container.registry)) from None
            raise
        self._checked(answer)
        return descriptor

    def download(self, descriptor: dict[str, Any], target: Path) -> None:
        """A blob into a file. Raises BundleError where it is not what its descriptor says."""
        digest = str(descriptor["digest"])
        with self._oras.get_blob(self._container, digest, stream=True) as answer:
            pieces = self._checked(answer).iter_content(1 << 20)
            try:
                with target.open("wb") as stream:
                    copied(pieces, stream, descriptor["size"])
            except ValueError as error:
                raise BundleError(f"{digest} is larger than the registry says.") from error
        if f"sha256:{sha256_of(target)}" != digest:
            raise BundleError(f"{digest} arrived as other bytes than the registry says.")

    def _checked(self, answer: Any) -> Any:
        if answer.status_code in (200, 201, 202):
            return answer
        try:
            errors = "; ".join(f"{e['code']}: {e['message']}" for e in answer.json()["errors"])
        except (KeyError, TypeError, ValueError):
            errors = str(answer.reason)
        raise UsageError(f"{self._container.registry} answers {answer.status_code}: {errors}")
