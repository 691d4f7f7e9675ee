"""What an index of very many class means is made of, and the directory that holds it.

    manifest.json             names the two other files; renamed into place last, so that either all is new or all is old
    frozen-DIGEST.faiss       the frozen part in faiss's own format; written once, memory-mapped by whoever opens it
    rest-DIGEST.safetensors   which frozen means are kept, and the loose ones; small, written again at each change

No pickle is read or written. One process writes at a time; others may have the older files open meanwhile.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from routing.statistics import Int64

Float32 = npt.NDArray[np.float32]

_FORMAT = "large-index-1"
_MANIFEST = "manifest.json"
_UNFINISHED = ".part"  # how the name of a file ends that is not written to its end yet
_ADVICE = "build it again: LargeIndex.build(means).save(directory)"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parts:
    """A frozen part and what came after it."""

    frozen: faiss.IndexIVFFlat | None  # means 0 .. F-1 by number
    frozen_file: Path | None  # where the frozen part is mapped from; None while it is in memory only
    kept: npt.NDArray[np.bool_]  # (F,), False for a frozen mean that was removed
    loose: Float32  # (L, d)
    loose_columns: Int64  # (L,), their numbers, growing
    numbered: int  # the number that the next mean gets


def write_parts(directory: Path, parts: Parts) -> None:
    """Make `directory` hold these parts; a frozen part that is mapped from there is not written again.

    Raises:
        OSError: the directory cannot be written, or is full; what it held can still be opened.
    """
    directory.mkdir(parents=True, exist_ok=True)
    frozen = None if parts.frozen is None else _written_frozen(directory, parts.frozen, parts.frozen_file)
    rest = save({"kept": parts.kept, "loose": np.ascontiguousarray(parts.loose), "loose_columns": parts.loose_columns})
    digest = hashlib.sha256(rest).hexdigest()
    rest_name = f"rest-{digest[:16]}.safetensors"
    write_whole(directory / rest_name, rest)
    manifest = {
        "format": _FORMAT,
        "numbered": parts.numbered,
        "frozen": None if frozen is None else {"name": frozen.name, "bytes": frozen.stat().st_size},
        "rest": {"name": rest_name, "sha256": digest},
    }
    write_whole(directory / _MANIFEST, json.dumps(manifest, indent=1).encode())
    _clear(directory, keep={_MANIFEST, rest_name, *([] if frozen is None else [frozen.name])})


def read_parts(directory: Path) -> Parts:
    """The parts that `write_parts` put there, the frozen one memory-mapped.

    The small files are checked by digest, the frozen one by its size and its header: to read all of it would take as
    long as mapping it saves.

    Raises:
        ValueError: there is no such index, or it is damaged; says what to do.
    """
    manifest = _manifest(directory)
    try:
        rest = (directory / manifest["rest"]["name"]).read_bytes()
        if hashlib.sha256(rest).hexdigest() != manifest["rest"]["sha256"]:
            raise _Damaged(f"{manifest['rest']['name']} has another digest than {_MANIFEST} says")
        arrays = load(rest)
        kept, loose_columns = arrays["kept"], arrays["loose_columns"]
        loose = np.array(arrays["loose"])  # searched twice as fast as in the middle of the file's bytes
        path = None if manifest["frozen"] is None else directory / manifest["frozen"]["name"]
        frozen = None if path is None else _mapped(path, manifest["frozen"]["bytes"])
        numbered = int(manifest["numbered"])
    except (OSError, SafetensorError, KeyError, TypeError, _Damaged) as error:
        raise ValueError(f"expected a whole index in {directory}; {_said(error)}; {_ADVICE}") from error
    if frozen is not None and (frozen.ntotal, frozen.d) != (len(kept), loose.shape[1]):
        raise ValueError(
            f"expected {len(kept)} means of width {loose.shape[1]} in {path}, got {frozen.ntotal} of {frozen.d}; {_ADVICE}"
        )
    return Parts(
        frozen=frozen, frozen_file=path, kept=kept, loose=loose, loose_columns=loose_columns, numbered=numbered
    )


class _Damaged(Exception):
    """A file is not what it should be."""


def _said(error: Exception) -> str:
    return f"no {error} there" if isinstance(error, KeyError) else str(error)


def _manifest(directory: Path) -> Any:
    path = directory / _MANIFEST
    try:
        manifest = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ValueError(f"expected an index in {directory}, found no {_MANIFEST}; {_ADVICE}") from None
    except ValueError as error:
        raise ValueError(f"expected JSON in {path}, got something else: {error}; {_ADVICE}") from error
    found = manifest.get("format") if isinstance(manifest, dict) else None
    if found != _FORMAT:
        raise ValueError(f"expected format {_FORMAT!r} in {path}, got {found!r}; {_ADVICE}")
    return manifest


def _mapped(path: Path, size: int) -> faiss.IndexIVFFlat:
    found = path.stat().st_size
    if found != size:
        raise _Damaged(f"{path.name} should have {size} bytes and has {found}")
    try:
        index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY)
    except (RuntimeError, MemoryError) as error:  # whatever faiss stumbles over in a header it did not write
        raise _Damaged(f"faiss cannot read {path.name}") from error
    if not isinstance(index, faiss.IndexIVFFlat):
        raise _Damaged(f"{path.name} is a {type(index).__name__} and no IndexIVFFlat")
    lists = None if index.invlists is None else faiss.downcast_InvertedLists(index.invlists)
    if isinstance(lists, faiss.OnDiskInvertedLists):
        lists.prefetch_nthread = 0  # by default each search starts 32 threads that read ahead: 8 ms instead of 3
    return index


def _written_frozen(directory: Path, index: faiss.IndexIVFFlat, source: Path | None) -> Path:
    """The file in `directory` that holds the frozen part, written or copied unless it is the one mapped already."""
    if source is not None and source.parent.resolve() == directory.resolve():
        return source
    unfinished = directory / f"frozen{_UNFINISHED}"
    if source is None:
        try:
            faiss.write_index(index, str(unfinished))
        except RuntimeError as error:
            raise OSError(f"{unfinished} could not be written; free some space and save again: {error}") from error
    else:
        shutil.copyfile(source, unfinished)  # faiss would write a mapped index as a reference to its file
    with unfinished.open("rb+") as file:
        digest = _digest_of(file)
        os.fsync(file.fileno())
    path = directory / f"frozen-{digest[:16]}.faiss"
    os.replace(unfinished, path)
    sync_directory(directory)
    return path


def _digest_of(file: Any) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(1 << 20):
        digest.update(chunk)
    return digest.hexdigest()


def write_whole(path: Path, data: bytes) -> None:
    """Make `path` hold exactly `data`, on the disk itself; whoever looks meanwhile sees the old file or the new one."""
    unfinished = path.with_name(path.name + _UNFINISHED)
    with unfinished.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, path)
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Put the names on the disk itself: fsync of a file does not cover its name."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _clear(directory: Path, keep: set[str]) -> None:
    """Remove what earlier saves left. Whoever has such a file mapped keeps it until they let go."""
    for pattern in ("frozen-*.faiss", "rest-*.safetensors", f"*{_UNFINISHED}"):
        for path in directory.glob(pattern):
            if path.name not in keep:
                with contextlib.suppress(OSError):
                    path.unlink()
