"""The database as it was before a migration, kept beside it: `portfolio.db.schema-5`.

Whoever must go back to the earlier version of this package gives the copy the name `portfolio.db` again. The copy is of
rows, not of blobs: those that only the earlier state needs are deleted in the end, as always (references.py).
"""

from __future__ import annotations

import contextlib
import filecmp
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

from portfolio.errors import Unwritable
from portfolio.store.database import Database
from portfolio.store.durable import sync_directory, sync_file, temporary_beside, writing_to


def keep_copy(database: Database, version: int) -> Path:
    """Where the copy is of what was committed last, which is on the disk itself when this returns.

    A copy that is there is never written over; one of the same bytes will do, as a killed process or a refused change
    leaves it. The caller holds the write lock, so nobody else makes one meanwhile.

    Raises:
        Unwritable: the disk is full or the directory read-only; nothing was added.
    """
    temporary = temporary_beside(database.path)
    try:
        with writing_to(database.path):
            database.copy_to(temporary)
            sync_file(temporary)
            path = next(path for path in _names(database.path, version) if _is_free_for(path, temporary))
            os.replace(temporary, path)
            sync_directory(path.parent)
    except Unwritable as error:
        raise Unwritable(
            f"schema {version} is kept as it is, beside it, before it is brought up to date: {error}"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
    return path


def _is_free_for(path: Path, copy: Path) -> bool:
    return not path.exists() or filecmp.cmp(path, copy, shallow=False)


def _names(path: Path, version: int) -> Iterator[Path]:
    """`portfolio.db.schema-5`, `portfolio.db.schema-5.2`, `portfolio.db.schema-5.3` …"""
    name = f"{path.name}.schema-{version}"
    yield path.with_name(name)
    for number in itertools.count(2):
        yield path.with_name(f"{name}.{number}")
