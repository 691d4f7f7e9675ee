"""A bundle that was read from its first byte to its last, and is what its manifest says."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from portfolio.errors import Untrusted
from portfolio.exchange.manifest import ADAPTER, MANIFEST, SIGNATURE, Entry, Manifest
from portfolio.exchange.reading import ONE_ADAPTER, WHOLE_PORTFOLIO, Limits, Piece, pieces
from portfolio.exchange.signing import require_signed

_SIGNATURE_BYTES = 4096
_LINE_BYTES = 512  # of one file in a manifest, at most


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What was found."""

    manifest: Manifest
    digest: str  # of the manifest's bytes: it stands for the whole bundle
    is_signed: bool  # by the key that was asked for
    data: dict[str, bytes]  # the files that were kept


def kind_of(source: Path) -> str:
    """What a bundle says that it is: of an adapter, or of a portfolio. Nothing else of it is checked.

    Raises:
        NotFound, Untrusted: there is no bundle, or none that can be read up to its manifest.
    """
    for piece in pieces(source, WHOLE_PORTFOLIO):
        if piece.name == MANIFEST:
            return Manifest.from_bytes(piece.read(_most_of_manifest(WHOLE_PORTFOLIO))).kind
    raise _without_manifest(source)


def opened(
    source: Path, kind: str, public_key: Path | None, *, take: Callable[[Piece], Iterator[bytes]] | None = None
) -> Opened:
    """Read all of a bundle.

    Args:
        kind: that it must be of.
        public_key: of the key that must have signed it; None: none need have.
        take: given a file, gives its bytes while it puts them somewhere; by default they are kept in memory.

    Raises:
        NotFound: there is none.
        Untrusted: it is another one than its manifest says, or not signed as it must be.
    """
    limits = ONE_ADAPTER if kind == ADAPTER else WHOLE_PORTFOLIO
    found: dict[str, Entry] = {}
    kept: dict[str, bytes] = {}
    for piece in pieces(source, limits):
        if piece.name == MANIFEST:
            kept[MANIFEST] = piece.read(_most_of_manifest(limits))
        elif piece.name == SIGNATURE:
            kept[SIGNATURE] = piece.read(_SIGNATURE_BYTES)
        elif take is None:
            kept[piece.name] = piece.read(limits.bytes)
            found[piece.name] = _entry([kept[piece.name]])
        else:
            found[piece.name] = _entry(take(piece))
    written = kept.pop(MANIFEST, None)
    if written is None:
        raise _without_manifest(source)
    is_signed = require_signed(written, kept.pop(SIGNATURE, None), public_key)
    manifest = Manifest.from_bytes(written)
    if manifest.kind != kind:
        raise Untrusted(f"{source} is a bundle of one {manifest.kind}, expected one of one {kind}")
    manifest.require(found)
    return Opened(manifest=manifest, digest=hashlib.sha256(written).hexdigest(), is_signed=is_signed, data=kept)


def _entry(chunks: Iterator[bytes] | list[bytes]) -> Entry:
    size, digest = 0, hashlib.sha256()
    for chunk in chunks:
        size += len(chunk)
        digest.update(chunk)
    return Entry(bytes=size, sha256=digest.hexdigest())


def _most_of_manifest(limits: Limits) -> int:
    return limits.files * _LINE_BYTES


def _without_manifest(source: Path) -> Untrusted:
    return Untrusted(
        f"{source} holds no {MANIFEST}, so it is no bundle that `portfolio export` wrote, or not all of one"
    )
