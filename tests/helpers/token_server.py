"""A registry's token server: `me:secret` gets the access it requests, anyone else may read.

https://distribution.github.io/distribution/spec/auth/token/
"""

import base64
import datetime
import http.server
import json
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

LOGIN = "me:secret"


@contextmanager
def token_server(folder: Path) -> Iterator[dict[str, Any]]:
    """Run the server; gives the section `auth` of the registry's configuration."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certificate(key)
    bundle = folder / "root.pem"
    bundle.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            query = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query)
            credentials = (self.headers.get("Authorization") or "Basic ").split(" ")[1]
            known = base64.b64decode(credentials).decode() == LOGIN
            scopes = [scope for value in query.get("scope", []) for scope in value.split()]
            token = _token(key, certificate, [_access(scope, known) for scope in scopes])
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"token": token}).encode())

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        realm = f"http://127.0.0.1:{server.server_port}/token"
        config = {"realm": realm, "service": "registry", "issuer": "test"}
        yield {"token": {**config, "rootcertbundle": str(bundle)}}
        server.shutdown()


def _certificate(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(1)
    builder = (
        builder.public_key(key.public_key()).not_valid_before(now - day).not_valid_after(now + day)
    )
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return builder.sign(key, hashes.SHA256())


def _access(scope: str, known: bool) -> dict[str, Any]:
    kind, name, actions = scope.split(":")
    wanted = actions.split(",")
    return {"type": kind, "name": name, "actions": wanted if known else ["pull"]}


def _token(
    key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate, access: list[dict[str, Any]]
) -> str:
    """A JSON Web Token (RFC 7519), signed with ES256 (RFC 7518, section 3.4)."""
    now = int(time.time())
    der = base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()
    header = {"typ": "JWT", "alg": "ES256", "x5c": [der]}
    times = {"exp": now + 300, "nbf": now - 10, "iat": now}
    claims = {"iss": "test", "sub": "me", "aud": "registry", "jti": str(now), "access": access}
    signed = ".".join(_encoded(json.dumps(part).encode()) for part in (header, {**claims, **times}))
    r, s = decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{signed}.{_encoded(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
