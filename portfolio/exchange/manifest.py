"""The manifest of a bundle: every file with its size and SHA-256. What is signed is the bytes of this file.

There is one way to write a manifest, so that a changed byte of it is a changed meaning, or none that is read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from portfolio.errors import Untrusted
from portfolio.exchange.strict import keys_of, strict_json

MANIFEST, SIGNATURE = "manifest.json", "manifest.json.sig"
FORMAT = "adapter-portfolio-1"
ADAPTER, PORTFOLIO = "adapter", "portfolio"  # kinds of bundles
KINDS = (ADAPTER, PORTFOLIO)
_DIGEST = re.compile(r"[0-9a-f]{64}")
_LISTED = 5  # files that a refusal names


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a bundle is, and all its files but the manifest and its signature, by path."""

    kind: str
    files: Mapping[str, Entry]

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        files = {path: {"bytes": entry.bytes, "sha256": entry.sha256} for path, entry in self.files.items()}
        fields = {"format": FORMAT, "kind": self.kind, "files": files}
        return (json.dumps(fields, sort_keys=True, indent=1) + "\n").encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Manifest:
        """What `to_bytes` wrote.

        Raises:
            Untrusted: the bytes are anything else.
        """
        fields = keys_of(strict_json(data, MANIFEST), ("files", "format", "kind"), MANIFEST)
        if fields["format"] != FORMAT:
            raise Untrusted(
                f"{MANIFEST} has format {fields['format']!r}, expected {FORMAT!r}; a later version of this package may read it"
            )
        if fields["kind"] not in KINDS or not isinstance(fields["files"], dict):
            raise Untrusted(f"{MANIFEST} must say which of {', '.join(KINDS)} it is of, and its files")
        manifest = cls(kind=fields["kind"], files={path: _entry(path, one) for path, one in fields["files"].items()})
        if manifest.to_bytes() != data:
            raise Untrusted(f"{MANIFEST} is not written as this package writes it, so something in it was changed")
        return manifest

    def require(self, found: Mapping[str, Entry]) -> None:
        """Nothing, if these are exactly the files, and their bytes those that were written.

        Raises:
            Untrusted: names what is missing, what is too many and what differs.
        """
        missing, extra = sorted(set(self.files) - set(found)), sorted(set(found) - set(self.files))
        changed = sorted(path for path in set(found) & set(self.files) if found[path] != self.files[path])
        odd = (("missing", missing), ("not in the manifest", extra), ("changed", changed))
        faults = [f"{what}: {_listed(paths)}" for what, paths in odd if paths]
        if faults:
            raise Untrusted(
                f"the files are not those that {MANIFEST} lists ({'; '.join(faults)}); get the bundle again"
            )


def is_digest(text: str) -> bool:
    """Whether it is a SHA-256 as this package writes it."""
    return _DIGEST.fullmatch(text) is not None


def _listed(paths: Sequence[str]) -> str:
    more = " and more" if len(paths) > _LISTED else ""
    return ", ".join(ascii(path)[1:-1][:100] for path in paths[:_LISTED]) + more


def _entry(path: str, fields: object) -> Entry:
    where = f"{MANIFEST}: {path[:80]!r}"
    values = keys_of(fields, ("bytes", "sha256"), where)
    size, digest = values["bytes"], values["sha256"]
    if type(size) is not int or size < 0 or not isinstance(digest, str) or not is_digest(digest):
        raise Untrusted(f"{where}: expected a size and a SHA-256 of 64 hex digits")
    return Entry(bytes=size, sha256=digest)
