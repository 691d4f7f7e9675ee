"""Content-addressed files: the blob with SHA-256 `abcdef…` is `blobs/ab/cdef…`, immutable and written whole."""

from __future__ import annotations

import hashlib
import mmap
import os
import re
from collections.abc import Iterator
from pathlib import Path

from portfolio.errors import DamagedBlob, StoreError
from portfolio.store.durable import sync_directory, temporary_beside, write_synced, write_whole, writing_to

_DIGEST = re.compile(r"[0-9a-f]{64}")
_PROBE_BYTES = 65_536  # what must fit for a disk not to count as full
_CHUNK_BYTES = 1 << 20


class Blobs:
    """The files under one directory. Holds no state, so threads and processes need no lock between them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def path(self, digest: str) -> Path:
        """Where the blob is, or would be."""
        if _DIGEST.fullmatch(digest) is None:
            raise StoreError(f"expected a SHA-256 as 64 hex digits, got {digest[:80]!r}")
        return self.directory / digest[:2] / digest[2:]

    def has(self, digest: str) -> bool:
        """Whether a file of that name is there; its bytes are not looked at."""
        return self.path(digest).is_file()

    def put(self, data: bytes) -> str:
        """The digest of `data`, which is on disk when this returns. A damaged file of that name is replaced.

        Raises:
            Unwritable: the disk is full or the directory read-only; nothing was added.
        """
        digest = hashlib.sha256(data).hexdigest()
        path = self.path(digest)
        with writing_to(path):
            if not _put_again(path, data):
                os.makedirs(path.parent, exist_ok=True)
                write_whole(path, data)
            sync_directory(self.directory)
        return digest

    def get(self, digest: str) -> bytes:
        """The bytes, whose digest was computed again.

        Raises:
            DamagedBlob: the file is missing, or its bytes have another digest.
            StoreError: this user may not read it.
        """
        path = self.path(digest)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise DamagedBlob(damage(path, digest, "is missing")) from None
        except PermissionError as error:
            raise StoreError(f"{path} cannot be read: {error.strerror}; change its permissions") from error
        except OSError as error:
            raise DamagedBlob(damage(path, digest, f"cannot be read ({error.strerror})")) from error
        found = hashlib.sha256(data).hexdigest()
        if found != digest:
            raise DamagedBlob(damage(path, digest, f"holds {len(data)} bytes of SHA-256 {found}"))
        return data

    def mapped(self, digest: str) -> mmap.mmap:
        """The bytes, memory-mapped and unchecked.

        Raises:
            DamagedBlob: the file is missing or empty.
        """
        path = self.path(digest)
        try:
            with path.open("rb") as file:
                return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:  # ValueError: nothing to map
            raise DamagedBlob(damage(path, digest, f"cannot be mapped ({error})")) from error

    def delete_unless_put(self, digest: str, since_s: float) -> bool:
        """Remove the file, unless it was put at `since_s` or later. Whether it is gone.

        It goes under another name first: whoever puts the same bytes at that moment is either seen here, or finds no file
        and writes it anew.
        """
        path = self.path(digest)
        aside = temporary_beside(path)
        try:
            if path.stat().st_mtime >= since_s:
                return False
            os.rename(path, aside)
        except FileNotFoundError:
            return True
        if aside.stat().st_mtime >= since_s:
            os.rename(aside, path)
            return False
        os.unlink(aside)
        return True

    def require_room(self) -> None:
        """Raise `Unwritable` if not even a small file can be written now; leaves nothing behind."""
        with writing_to(self.directory):
            os.makedirs(self.directory, exist_ok=True)
            probe = temporary_beside(self.directory / "probe")
            try:
                write_synced(probe, bytes(_PROBE_BYTES))
            finally:
                probe.unlink(missing_ok=True)

    def files(self) -> Iterator[tuple[Path, str | None]]:
        """Every file under the directory, with the digest its name claims; None where the name is no digest."""
        for directory, subdirectories, names in os.walk(self.directory):
            subdirectories.sort()
            for name in sorted(names):
                path = Path(directory, name)
                digest = path.parent.name + name
                is_blob = _DIGEST.fullmatch(digest) is not None and path == self.path(digest)
                yield path, digest if is_blob else None


def damage(path: Path, digest: str, found: str) -> str:
    """The sentence about one damaged blob: what was expected, what came, what to do."""
    return (
        f"{path} {found}, but must hold the bytes of SHA-256 {digest}; "
        "restore the file from a copy of the portfolio, or remove the task that needs it "
        "(`portfolio verify` names it) and add the task again"
    )


def file_digest(path: Path) -> str:
    """SHA-256 of a file, read piece by piece."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_CHUNK_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def _put_again(path: Path, data: bytes) -> bool:
    """Whether the file holds these bytes already; then it counts as put now, see references.py."""
    try:
        if path.stat().st_size != len(data) or path.read_bytes() != data:
            return False
        os.utime(path)
        sync_directory(path.parent)  # whoever wrote it may not have come this far yet
    except FileNotFoundError:  # or it was deleted while this looked at it
        return False
    return True
