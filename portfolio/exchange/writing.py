"""A bundle written as a folder, a .tar.gz or a .zip: whole or not at all, and the same bytes for the same contents.

Archives hold files alone, the manifest first, then by name; no time, no owner, plain permissions.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import os
import shutil
import tarfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO

from portfolio.errors import Conflict, DamagedBlob
from portfolio.exchange.manifest import MANIFEST, SIGNATURE, Entry, Manifest
from portfolio.exchange.signing import sign
from portfolio.store.durable import sync_directory, temporary_beside, writing_to

Contents = Mapping[str, bytes | Path]  # by path in the bundle: bytes, or a file that holds them and is never changed

_TAR, _ZIP = (".tar.gz", ".tgz"), ".zip"
_CHUNK_BYTES = 1 << 20
_LEVEL = 3  # of compression: weights hardly yield to more
_FIRST_DAY = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say


def write_bundle(to: Path, kind: str, contents: Contents, key: Path | None) -> Manifest:
    """Write the contents with their manifest, signed where there is a private key.

    Raises:
        Conflict: there is a file, or a folder with something in it.
        ConfigError: the key cannot be used.
        DamagedBlob: a file to be copied is not there.
        Unwritable: what was there is unchanged.
    """
    require_free(to)
    manifest = Manifest(kind=kind, files={path: _entry(path, contents[path]) for path in sorted(contents)})
    data = manifest.to_bytes()
    signed = {} if key is None else {SIGNATURE: sign(data, key)}
    everything = {MANIFEST: data, **signed, **{path: contents[path] for path in sorted(contents)}}
    with writing_to(to):
        if to.name.lower().endswith(_TAR):
            with _whole_file(to) as file:
                _write_tar(file, everything)
        elif to.name.lower().endswith(_ZIP):
            with _whole_file(to) as file:
                _write_zip(file, everything)
        else:
            with whole_folder(to) as building:
                for path, content in everything.items():
                    write_file(building / path, _chunks(path, content))
    return manifest


def require_free(to: Path) -> None:
    """Raise Conflict unless `to` is new, or an empty folder that is to be one."""
    is_archive = to.name.lower().endswith((*_TAR, _ZIP))
    if to.is_dir() and not is_archive:
        if found := sorted(entry.name for entry in to.iterdir()):
            raise Conflict(f"{to} is not empty (it holds {found[0]!r}); choose a new or empty folder")
    elif os.path.lexists(to):
        raise Conflict(f"{to} is there already; choose another name")


@contextlib.contextmanager
def whole_folder(to: Path) -> Iterator[Path]:
    """An empty folder beside this one that takes its name if the body ends well, and goes otherwise.

    Raises:
        Conflict: there is a file, or a folder with something in it.
        OSError: it could not be written.
    """
    require_free(to)
    final = to.absolute()
    building = temporary_beside(final)
    try:
        building.mkdir(parents=True)
        yield building
        os.rename(building, final)  # also over an empty folder, but over no other
        sync_directory(final.parent)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def write_file(path: Path, chunks: Iterable[bytes]) -> None:
    """A new file, on the disk itself when this returns, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        for chunk in chunks:
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def _whole_file(to: Path) -> Iterator[IO[bytes]]:
    final = to.absolute()
    final.parent.mkdir(parents=True, exist_ok=True)
    building = temporary_beside(final)
    try:
        with building.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(building, final)
        sync_directory(final.parent)
    finally:
        building.unlink(missing_ok=True)


def _write_tar(file: IO[bytes], contents: Contents) -> None:
    with (
        gzip.GzipFile(filename="", mode="wb", compresslevel=_LEVEL, fileobj=file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        for path, content in contents.items():
            member = tarfile.TarInfo(path)  # its time is 0, its owner nobody, its mode 0644
            with _stream(path, content) as stream:
                member.size = _size(content)
                tar.addfile(member, stream)


def _write_zip(file: IO[bytes], contents: Contents) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as archive:
        for path, content in contents.items():
            member = zipfile.ZipInfo(path, _FIRST_DAY)
            member.compress_type = zipfile.ZIP_DEFLATED
            member.create_system = 3  # the one whose permissions these are
            member.external_attr = 0o100644 << 16
            member.file_size = _size(content)  # so that a large one takes its larger form
            with _stream(path, content) as stream, archive.open(member, "w") as into:
                shutil.copyfileobj(stream, into, _CHUNK_BYTES)


def _entry(path: str, content: bytes | Path) -> Entry:
    digest = hashlib.sha256()
    for chunk in _chunks(path, content):
        digest.update(chunk)
    return Entry(bytes=_size(content), sha256=digest.hexdigest())


def _chunks(path: str, content: bytes | Path) -> Iterator[bytes]:
    with _stream(path, content) as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            yield chunk


def _stream(path: str, content: bytes | Path) -> IO[bytes]:
    if isinstance(content, bytes):
        return io.BytesIO(content)
    try:
        return content.open("rb")
    except FileNotFoundError as error:
        raise DamagedBlob(
            f"{content} is not there, but {path} is to hold it; if the portfolio was changed meanwhile, export again; "
            "otherwise look with: portfolio verify"
        ) from error


def _size(content: bytes | Path) -> int:
    return len(content) if isinstance(content, bytes) else content.stat().st_size
