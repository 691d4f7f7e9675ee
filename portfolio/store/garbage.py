"""What nothing needs any more in a portfolio's directory, and the deleting of it.

Three kinds: blobs that no row refers to, temporary files, and directories in which a killed process was building. Nothing
goes within `KEPT_S` of being written, as somebody may be about to refer to it or still be writing; a blob that a change left
behind stays, besides, until `KEPT_CHANGES` later ones or until nothing changed for `KEPT_S`, for who works from an earlier
snapshot. What somebody else put into the directory is left alone, and so are the copies that migrations keep.

A damaged row may have lost the name of its blob, so in a damaged database nothing counts as garbage.

Every function works in the caller's transaction; who deletes holds the write lock, so that nobody commits meanwhile.
"""

from __future__ import annotations

import itertools
import os
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from portfolio.errors import StoreError
from portfolio.store import rows
from portfolio.store.blobs import Blobs
from portfolio.store.creation import DATABASE, UNFINISHED
from portfolio.store.durable import TEMPORARY, writing_to
from portfolio.store.references import KEPT_CHANGES, KEPT_S, blob_uses, mark_deleted, waiting_to_be_deleted
from portfolio.store.verify import database_faults

_BLOB, _TEMPORARY, _UNFINISHED = "blob", "temporary", "unfinished"
_Left = tuple[str, Path, str]  # what, path, why


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbage:
    """One file, or one unfinished directory, that nothing needs."""

    what: str  # `blob`, `temporary` or `unfinished`
    path: str  # relative to the portfolio
    bytes: int
    why: str


def find_garbage(db: sqlite3.Connection, blobs: Blobs, root: Path, now_s: float) -> tuple[Garbage, ...]:
    """All of it, by path within each kind; nothing is changed.

    Args:
        now_s: seconds since the epoch.

    Raises:
        StoreError: the database is damaged.
    """
    for fault in database_faults(db, DATABASE):
        raise StoreError(f"nothing is deleted from {root}, as what it needs is not certain: {fault.message}")
    found = itertools.chain(_blobs(db, blobs, now_s), _temporaries(root), _unfinished(root))
    return tuple(one for one in (_old(left, root, now_s - KEPT_S) for left in found) if one is not None)


def delete_garbage(db: sqlite3.Connection, blobs: Blobs, root: Path, now_s: float) -> tuple[Garbage, ...]:
    """What `find_garbage` finds, after deleting it; without what somebody put again at this very moment.

    Raises:
        StoreError: the database is damaged.
        Unwritable: a file cannot be deleted; what came before it is gone.
    """
    found = find_garbage(db, blobs, root, now_s)
    return tuple(one for one in found if _delete(db, blobs, one.what, root / one.path, now_s - KEPT_S))


def _delete(db: sqlite3.Connection, blobs: Blobs, what: str, path: Path, unless_since_s: float) -> bool:
    with writing_to(path):
        if what == _BLOB:
            digest = path.parent.name + path.name
            if not blobs.delete_unless_put(digest, unless_since_s):
                return False
            mark_deleted(db, digest)
        elif what == _TEMPORARY:
            os.unlink(path)
        else:
            shutil.rmtree(path)
    return True


# What there is


def _blobs(db: sqlite3.Connection, blobs: Blobs, now_s: float) -> Iterator[_Left]:
    needed, lately = blob_uses(db), _left_lately(db, now_s)
    for path, digest in blobs.files():
        if digest is not None and digest not in needed and digest not in lately:
            yield _BLOB, path, "nothing refers to it"


def _left_lately(db: sqlite3.Connection, now_s: float) -> set[str]:
    """The blobs that changes left behind so lately that somebody may still read them."""
    changed_at_s = datetime.fromisoformat(rows.read_last_event(db).at).timestamp()
    if now_s - changed_at_s > KEPT_S:
        return set()
    return waiting_to_be_deleted(db, rows.read_generation(db) - KEPT_CHANGES)


def _temporaries(root: Path) -> Iterator[_Left]:
    for directory, subdirectories, names in os.walk(root):
        subdirectories[:] = sorted(name for name in subdirectories if not name.startswith(UNFINISHED))
        for name in sorted(names):
            if name.startswith(TEMPORARY):
                yield _TEMPORARY, Path(directory, name), "a killed process was writing it"


def _unfinished(root: Path) -> Iterator[_Left]:
    for path in sorted(root.glob(f"{UNFINISHED}*")):
        yield _UNFINISHED, path, "a killed process was making a portfolio in it"


def _old(left: _Left, root: Path, before_s: float) -> Garbage | None:
    """None for what was written since, or is gone."""
    what, path, why = left
    try:
        stats = [one.lstat() for one in (path, *(path.rglob("*") if what == _UNFINISHED else ()))]
    except FileNotFoundError:
        return None
    if max(stat.st_mtime for stat in stats) >= before_s:
        return None
    return Garbage(what=what, path=os.path.relpath(path, root), bytes=sum(stat.st_size for stat in stats), why=why)
