"""Signatures: OpenSSF model-signing over a folder, and a DSSE envelope around a statement."""

import base64
import contextlib
import io
import json
import re
from pathlib import Path
from typing import Any

from portproof.bundle.errors import BundleError, UsageError, one_line
from portproof.bundle.text import shortened

_HOW_TO_INSTALL = "To sign and to check signatures: pip install 'portproof[publish]'"
PAYLOAD = "application/vnd.in-toto+json"


def sign(folder: Path, signature: Path, key: Path) -> None:
    """Sign all files of a folder but the signature. Raises UsageError for an invalid key."""
    signing, _, config = _model_signing(signature)
    _private(key)
    with contextlib.redirect_stdout(io.StringIO()):
        signer = signing.Config().set_hashing_config(config)
        signer.use_elliptic_key_signer(private_key=key).sign(folder, signature)


def verify(folder: Path, signature: Path, key: Path) -> None:
    """Raises BundleError where the folder is not what the key's owner signed."""
    _, verifying, config = _model_signing(signature)
    _public(key)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            verifier = verifying.Config().set_hashing_config(config)
            verifier.use_elliptic_key_verifier(public_key=key).verify(folder, signature)
    except Exception as error:  # whatever is wrong with a signature, in whichever library
        reason = _changed(error) or one_line(error, 300) or type(error).__name__
        raise BundleError(
            f"{signature.name} is no signature of these files by the owner of {key.name}: {reason}"
        ) from None


# How model-signing tells files that are not those of the signature: a list of texts, in Python.
_DIFFERENCES = re.compile(
    r"Hash mismatch for \\?'([^'\\]+)|"
    r"(?:Extra files found|Missing files) in model \\?'[^']*': ([^\"'\]]+)"
)


def _changed(error: Exception) -> str:
    """The files that are not what was signed, or nothing where that is not what is wrong."""
    found = [one or several for one, several in _DIFFERENCES.findall(str(error))]
    return f"changed since it was signed: {shortened(found)}" if found else ""


def envelope(statement: bytes, key: Path) -> bytes:
    """A DSSE envelope (https://github.com/secure-systems-lab/dsse) around an in-toto statement."""
    try:
        from securesystemslib.dsse import Envelope
        from securesystemslib.signer import CryptoSigner
    except ImportError:
        raise UsageError(f"{_HOW_TO_INSTALL}.") from None
    signed = Envelope(statement, PAYLOAD, {})
    signed.sign(CryptoSigner(_private(key)))
    return json.dumps(signed.to_dict(), sort_keys=True).encode()


def read_statement(content: bytes, key: Path | None) -> dict[str, Any]:
    """The statement in a file, with a `predicate`; with a `key` it must be signed by its owner.

    Raises BundleError.
    """
    try:
        document = json.loads(content)
        signed = "payload" in document
        if key and not signed:
            raise BundleError("the statement about the verification is not signed.")
        if key:
            document = _verified(document, key)
        elif signed:
            document = json.loads(base64.b64decode(document["payload"]))
        if isinstance(document["predicate"], dict):
            return dict(document)
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        pass
    raise BundleError("the statement about the verification is damaged.")


def _verified(document: dict[str, Any], key: Path) -> dict[str, Any]:
    from securesystemslib.dsse import Envelope
    from securesystemslib.exceptions import VerificationError
    from securesystemslib.signer import SSlibKey

    signed = Envelope.from_dict(document)
    try:
        signed.verify([SSlibKey.from_crypto(_public(key))], 1)
    except VerificationError:
        raise BundleError(
            f"the statement about the verification is not signed by the owner of {key.name}."
        ) from None
    statement: dict[str, Any] = json.loads(signed.payload)
    return statement


def _model_signing(signature: Path) -> tuple[Any, Any, Any]:
    try:
        from model_signing import hashing, signing, verifying
    except ImportError:
        raise UsageError(f"{_HOW_TO_INSTALL}.") from None
    config = hashing.Config().use_file_serialization(hashing_algorithm="sha256")
    return signing, verifying, config.set_ignored_paths(paths=[signature])


def _private(key: Path) -> Any:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        return _checked_curve(load_pem_private_key(key.read_bytes(), None), key)
    except OSError as error:
        raise UsageError(f"{key} cannot be read: {error.strerror}.") from None
    except (TypeError, ValueError):
        raise UsageError(
            f"{key} is no private key in PEM without a password. {_HOW_TO_MAKE_KEYS}"
        ) from None


def _public(key: Path) -> Any:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        content = key.read_bytes()
        return _checked_curve(load_pem_public_key(content), key)
    except OSError as error:
        raise UsageError(f"{key} cannot be read: {error.strerror}.") from None
    except ValueError:
        pass
    if b"PRIVATE KEY-----" in content:
        raise UsageError(
            f"{key} is a private key, which is what signs: give the public one "
            f"(openssl pkey -in {key} -pubout -out key.pub)."
        )
    raise UsageError(f"{key} is no public key in PEM. {_HOW_TO_MAKE_KEYS}")


def _checked_curve(key: Any, path: Path) -> Any:
    if getattr(getattr(key, "curve", None), "name", "") not in _CURVES:
        raise UsageError(
            f"{path} is no key of the curves P-256, P-384 and P-521. {_HOW_TO_MAKE_KEYS}"
        )
    return key


_CURVES = ("secp256r1", "secp384r1", "secp521r1")  # that model-signing signs with
_HOW_TO_MAKE_KEYS = (
    "Make a pair: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem; "
    "openssl pkey -in key.pem -pubout -out key.pub"
)
