"""The detached signature of a manifest: Ed25519 (RFC 8032) over its bytes, 64 bytes, as `openssl pkeyutl` makes and checks it.

Keys are PEM files, as `openssl genpkey -algorithm ed25519` makes them. The work is done by the library `cryptography`, which
is loaded only where a key is given.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING

from portfolio.errors import ConfigError, Untrusted
from portfolio.exchange.manifest import SIGNATURE

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

TRUSTED_KEY = "PORTFOLIO_TRUSTED_KEY"  # environment variable: the public key that every import must be signed by
_BYTES = 64


def trusted_key(given: str | Path | None) -> Path | None:
    """The public key that is asked for: the one that is given, else that of the environment variable; None: none is."""
    named = given if given is not None else os.environ.get(TRUSTED_KEY)
    return Path(named) if named else None


def sign(data: bytes, private_key: Path) -> bytes:
    """The signature.

    Raises:
        ConfigError: the file holds no such key without a password, or `cryptography` is not installed.
    """
    return _private(private_key).sign(data)


def require_signed(data: bytes, signature: bytes | None, public_key: Path | None) -> bool:
    """Whether the signature was checked; nothing is asked of it where there is no key.

    Raises:
        Untrusted: there is a key, and no signature, or one that another key made or of other bytes.
        ConfigError: the key cannot be used.
    """
    if signature is not None and len(signature) != _BYTES:
        raise Untrusted(f"{SIGNATURE} must hold the {_BYTES} bytes of a signature, got {len(signature)}")
    if public_key is None:
        return False
    key = _public(public_key)
    if signature is None:
        raise Untrusted(
            f"the bundle is not signed, but only what {public_key} signed is to be trusted; ask for one that is signed, or "
            f"import it without --key and {TRUSTED_KEY}"
        )
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(signature, data)
    except InvalidSignature:
        raise Untrusted(
            f"{SIGNATURE} was not made with the key that belongs to {public_key}, or not of these bytes; get the bundle "
            "again from whom you trust"
        ) from None
    return True


def _private(path: Path) -> Ed25519PrivateKey:
    expected = "expected an Ed25519 private key without a password, such as `openssl genpkey -algorithm ed25519` makes"
    _require_library()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:  # TypeError: it needs a password
        raise ConfigError(f"{expected}; {path} cannot be used: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{expected}; {path} holds another kind of key")
    return key


def _public(path: Path) -> Ed25519PublicKey:
    expected = "expected an Ed25519 public key, such as `openssl pkey -in PRIVATE.pem -pubout` writes"
    _require_library()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{expected}; {path} cannot be used: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError(f"{expected}; {path} holds another kind of key")
    return key


def _require_library() -> None:
    if importlib.util.find_spec("cryptography") is None:
        raise ConfigError(
            "signatures need the package cryptography; install it with: pip install 'adapter-portfolio[signing]'"
        )
