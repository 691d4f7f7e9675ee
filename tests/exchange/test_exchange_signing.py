"""Signatures: made with one key, checked with the key that belongs to it, asked for wherever one is configured."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from portfolio.errors import ConfigError, Untrusted
from portfolio.exchange.opening import opened
from portfolio.exchange.signing import require_signed, sign, trusted_key
from portfolio.exchange.writing import write_bundle

CONTENTS = {"a.json": b"{}"}


@dataclass(frozen=True, slots=True)
class Keys:
    private: Path
    public: Path


def write_keys(folder: Path, key: object, encryption: KeySerializationEncryption | None = None) -> Keys:
    """Two PEM files, as openssl writes them."""
    assert isinstance(key, (ed25519.Ed25519PrivateKey, ec.EllipticCurvePrivateKey))
    folder.mkdir(parents=True)
    keys = Keys(folder / "private.pem", folder / "public.pem")
    keys.private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption()))
    keys.public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return keys


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return write_keys(tmp_path / "keys", ed25519.Ed25519PrivateKey.generate())


@pytest.fixture
def other_keys(tmp_path: Path) -> Keys:
    return write_keys(tmp_path / "other", ed25519.Ed25519PrivateKey.generate())


def test_a_bundle_is_signed_and_the_signature_is_checked(tmp_path: Path, keys: Keys, other_keys: Keys) -> None:
    write_bundle(tmp_path / "to", "adapter", CONTENTS, keys.private)
    assert len((tmp_path / "to" / "manifest.json.sig").read_bytes()) == 64
    assert opened(tmp_path / "to", "adapter", keys.public).is_signed
    assert not opened(tmp_path / "to", "adapter", None).is_signed
    with pytest.raises(Untrusted, match="was not made with the key"):
        opened(tmp_path / "to", "adapter", other_keys.public)


def test_an_unsigned_bundle_is_refused_where_a_key_is_asked_for(tmp_path: Path, keys: Keys) -> None:
    write_bundle(tmp_path / "to", "adapter", CONTENTS, None)
    with pytest.raises(Untrusted, match="is not signed"):
        opened(tmp_path / "to", "adapter", keys.public)


def test_no_flipped_bit_of_a_signature_or_of_what_is_signed_passes(keys: Keys) -> None:
    data, signature = b"manifest", sign(b"manifest", keys.private)
    assert require_signed(data, signature, keys.public)
    for place in range(64):
        changed = bytearray(signature)
        changed[place] ^= 1 << place % 8
        with pytest.raises(Untrusted):
            require_signed(data, bytes(changed), keys.public)
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1
        with pytest.raises(Untrusted):
            require_signed(bytes(changed), signature, keys.public)


def test_a_signature_of_another_length_is_refused_with_and_without_a_key(keys: Keys) -> None:
    for signature in (b"", sign(b"x", keys.private) + b"x", sign(b"x", keys.private)[:-1]):
        for key in (None, keys.public):
            with pytest.raises(Untrusted, match="64 bytes"):
                require_signed(b"x", signature, key)


def test_the_key_is_the_given_one_or_that_of_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    assert trusted_key(None) is None
    assert trusted_key("a.pem") == Path("a.pem")
    monkeypatch.setenv("PORTFOLIO_TRUSTED_KEY", "b.pem")
    assert trusted_key(None) == Path("b.pem")
    assert trusted_key("a.pem") == Path("a.pem")


def test_keys_that_cannot_be_used_are_said(tmp_path: Path, keys: Keys) -> None:
    curve = write_keys(tmp_path / "curve", ec.generate_private_key(ec.SECP256R1()))
    locked = write_keys(tmp_path / "locked", ed25519.Ed25519PrivateKey.generate(), BestAvailableEncryption(b"word"))
    (tmp_path / "text.pem").write_text("no key")
    for private in (curve.private, locked.private, keys.public, tmp_path / "text.pem", tmp_path / "nowhere.pem"):
        with pytest.raises(ConfigError, match="expected an Ed25519 private key"):
            sign(b"x", private)
    for public in (curve.public, keys.private, tmp_path / "text.pem", tmp_path / "nowhere.pem"):
        with pytest.raises(ConfigError, match="expected an Ed25519 public key"):
            require_signed(b"x", bytes(64), public)


def test_without_the_library_a_key_is_one_clear_error(monkeypatch: pytest.MonkeyPatch, keys: Keys) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="pip install 'adapter-portfolio\\[signing\\]'"):
        sign(b"x", keys.private)
    with pytest.raises(ConfigError, match="need the package cryptography"):
        require_signed(b"x", bytes(64), keys.public)
    assert not require_signed(b"x", bytes(64), None)
