"""The files of a folder, a .tar.gz or a .zip of unknown origin, one after another, within limits. Nothing is written.

Only regular files come, under names that can neither climb out of a directory nor mean the same file twice. What an archive
says of sizes is checked before it is believed, and counted while it is read.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol, cast

from portfolio.errors import NotFound, Untrusted

_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")  # ASCII alone: no two spellings of a letter can meet
_DEEPEST = 4  # directories and a file
_CHUNK_BYTES = 1 << 20
_SLACK_BYTES = 64 << 20  # what any archive may unpack to, however small it is
_MOST_RATIO = 100  # unpacked over packed, above that; weights pack hardly at all
_HEADERS_BYTES = 2048  # of one file in a tar
_PADDING_BYTES = 1 << 16  # of a whole tar
_BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, NotImplementedError)


class Readable(Protocol):
    """What can be read from."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much may be read."""

    files: int
    bytes: int  # of all files together, unpacked


ONE_ADAPTER = Limits(files=256, bytes=2 << 30)
WHOLE_PORTFOLIO = Limits(files=200_000, bytes=1 << 40)


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One file, to be read before the next one comes."""

    name: str
    size: int
    source: Path
    stream: Readable

    def chunks(self) -> Iterator[bytes]:
        """Its bytes, piece by piece.

        Raises:
            Untrusted: there are more or fewer than were declared, or they cannot be unpacked.
        """
        read = 0
        with _readable(self.source):
            while chunk := self.stream.read(min(_CHUNK_BYTES, self.size - read + 1)):
                read += len(chunk)
                if read > self.size:
                    break
                yield chunk
        if read != self.size:
            raise Untrusted(f"{self.source}: {self.name} holds more or fewer bytes than the {self.size} it declares")

    def read(self, most: int) -> bytes:
        """All its bytes.

        Raises:
            Untrusted: as `chunks` does, and where there are more than `most`.
        """
        if self.size > most:
            raise Untrusted(f"{self.source}: {self.name} has {self.size:,} bytes, expected at most {most:,}")
        return b"".join(self.chunks())


def pieces(source: Path, limits: Limits) -> Iterator[Piece]:
    """The files, in the order in which they lie there.

    Raises:
        NotFound: nothing is there.
        Untrusted: it is no folder and no such archive, or something in it may not be.
    """
    if not source.exists():
        raise NotFound(f"there is no bundle at {source}; expected a folder, a .tar.gz or a .zip")
    seen: set[str] = set()
    total = 0
    for piece in _opened(source, limits):
        _require_name(source, piece.name)
        if piece.name.lower() in seen:
            raise Untrusted(f"{source} holds two files called {piece.name}, up to the case of letters")
        seen.add(piece.name.lower())
        total += piece.size
        if len(seen) > limits.files:
            raise Untrusted(f"{source} holds more than {limits.files:,} files")
        if piece.size < 0 or total > limits.bytes:
            raise Untrusted(f"{source} holds more than {limits.bytes:,} bytes, unpacked")
        yield piece


def _opened(source: Path, limits: Limits) -> Iterator[Piece]:
    if source.is_dir():
        yield from _folder(source, source, 1)
        return
    with _readable(source), source.open("rb") as file:
        start = file.read(4)
        file.seek(0)
        most = min(limits.bytes, max(_SLACK_BYTES, _MOST_RATIO * source.stat().st_size))
        if start[:2] == b"\x1f\x8b":
            yield from _tar(source, file, most + _HEADERS_BYTES * limits.files + _PADDING_BYTES)
        elif start == b"PK\x03\x04":
            yield from _zip(source, file, most)
        else:
            raise Untrusted(f"{source} is neither a folder nor a .tar.gz or .zip, by which a bundle would begin")


def _require_name(source: Path, name: str) -> None:
    parts = name.split("/")
    shown = ascii(name if len(name) <= 100 else f"{name[:100]}…")
    if len(name) > 255 or any(len(part) > 128 for part in parts):
        raise Untrusted(f"{source} holds a file of an over-long name: {shown}")
    if name.startswith("/") or ".." in parts or "\\" in name or ":" in name:
        raise Untrusted(f"{source} holds a file that would lie outside of it: {shown}")
    if len(parts) > _DEEPEST or not all(_PART.fullmatch(part) and not part.endswith(".") for part in parts):
        raise Untrusted(f"{source} holds a file of a name that no bundle has: {shown}")


def _folder(source: Path, directory: Path, depth: int) -> Iterator[Piece]:
    with _readable(source):
        entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
    for entry in entries:
        name = Path(entry.path).relative_to(source).as_posix()
        found = entry.stat(follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode) and depth < _DEEPEST:
            yield from _folder(source, Path(entry.path), depth + 1)
        elif stat.S_ISREG(found.st_mode):
            with _readable(source), open(entry.path, "rb", opener=_no_link) as file:
                yield Piece(name=name, size=os.fstat(file.fileno()).st_size, source=source, stream=file)
        else:
            raise Untrusted(f"{source} holds {name!a}, which is neither a file nor a directory: a link or a device")


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0))


def _tar(source: Path, file: IO[bytes], most: int) -> Iterator[Piece]:
    with gzip.GzipFile(fileobj=file) as unpacked:
        counted = _Counted(unpacked, source, most)
        with tarfile.open(fileobj=cast(IO[bytes], counted), mode="r|", errors="surrogateescape") as tar:
            for member in tar:
                stream = tar.extractfile(member) if member.isreg() and not member.issparse() else None
                if stream is None:
                    raise Untrusted(f"{source} holds {member.name!a}, a link, a device or a directory; expected files")
                if member.size > most:
                    raise Untrusted(f"{source}: {member.name!a} unpacks to more than can be: {member.size:,} bytes")
                yield Piece(name=member.name, size=member.size, source=source, stream=stream)
        while counted.read(_CHUNK_BYTES):
            pass  # to the end, so that the checksum of the whole is looked at


class _Counted:
    """Bytes that are unpacked, as long as there are not too many."""

    def __init__(self, stream: Readable, source: Path, most: int) -> None:
        self._stream, self._source, self._left, self._most = stream, source, most, most

    def read(self, size: int = _CHUNK_BYTES, /) -> bytes:
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise Untrusted(f"{self._source} unpacks to more than {self._most:,} bytes, far more than bundles do")
        return data


def _zip(source: Path, file: IO[bytes], most: int) -> Iterator[Piece]:
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if sum(member.file_size for member in members) > most:
            raise Untrusted(f"{source} unpacks to more than {most:,} bytes, far more than bundles do")
        for member in members:
            kind = stat.S_IFMT(member.external_attr >> 16)
            if member.is_dir() or kind not in (0, stat.S_IFREG):
                raise Untrusted(f"{source} holds {member.filename!a}, a link, a device or a directory; expected files")
            if member.flag_bits & 1 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise Untrusted(f"{source}: {member.filename!a} is encrypted, or packed in a way that is not read")
            if member.orig_filename != member.filename:
                raise Untrusted(f"{source} holds a file of a name that no bundle has: {member.orig_filename[:100]!a}")
            with archive.open(member) as stream:
                yield Piece(name=member.filename, size=member.file_size, source=source, stream=stream)


@contextlib.contextmanager
def _readable(source: Path) -> Iterator[None]:
    try:
        yield
    except (*_BROKEN, OSError) as error:
        raise Untrusted(f"{source} cannot be read: {error}; get the bundle again") from error
