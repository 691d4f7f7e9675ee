"""A new portfolio directory, whole or not at all.

Everything is built in a hidden directory inside the new one; the portfolio exists from the instant its `portfolio.db`
gets its final name, by a hard link, which fails if another process was quicker. Building inside (not beside, to rename
over it) keeps a directory that exists: a shell may stand in it, or it may be a mount point.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from pathlib import Path

from portfolio.errors import Conflict
from portfolio.records import BaseContract
from portfolio.store import rows
from portfolio.store.changes import event
from portfolio.store.database import Database
from portfolio.store.durable import sync_directory, write_synced, writing_to
from portfolio.store.schema import migrate

DATABASE = "portfolio.db"
BLOBS = "blobs"
CONTRACT = "base.json"
UNFINISHED = ".init-"  # what the name of a directory begins with in which a portfolio is being built

_NO_HARD_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


def create_layout(root: Path, contract: BaseContract, now: str) -> None:
    """Make a portfolio without tasks at `root`, a new or empty directory.

    Raises:
        Conflict: there is a portfolio, a file, or a directory with something in it.
        Unwritable: the disk is full or a directory read-only; what was there is unchanged.
    """
    with writing_to(root):
        was_there = root.exists()
        if was_there:
            _require_empty(root)
        os.makedirs(root, exist_ok=True)
        building = root / f"{UNFINISHED}{secrets.token_hex(8)}"
        try:
            _build(building, contract, now)
            _publish(building, root)
        except BaseException:  # Ctrl-C too
            shutil.rmtree(building, ignore_errors=True)
            if not was_there:
                with contextlib.suppress(OSError):
                    root.rmdir()
            raise
        shutil.rmtree(building, ignore_errors=True)


def _require_empty(root: Path) -> None:
    if not root.is_dir():
        raise Conflict(f"{root} is a file; expected a new or empty directory for the portfolio")
    if (root / DATABASE).exists():
        raise Conflict(f"{root} already holds a portfolio; use it, or choose another directory")
    found = sorted(entry.name for entry in root.iterdir() if not entry.name.startswith(UNFINISHED))
    if found:
        raise Conflict(f"{root} is not empty (it holds {found[0]!r}); expected a new or empty directory")


def _build(building: Path, contract: BaseContract, now: str) -> None:
    os.mkdir(building)
    database = Database(building / DATABASE)
    database.make()
    with database.writing() as db:
        migrate(db, now)
        rows.insert_portfolio(db, contract, now)
        rows.append_event(db, event(now, "init", contract.name, {}))
    write_synced(building / CONTRACT, rows.contract_json(contract).encode())


def _publish(building: Path, root: Path) -> None:
    sync_directory(root.parent)
    _give_final_name(building / DATABASE, root / DATABASE)
    try:
        os.makedirs(root / BLOBS, exist_ok=True)
        os.replace(building / CONTRACT, root / CONTRACT)
        sync_directory(root)
    except BaseException:
        for remove in ((root / DATABASE).unlink, (root / CONTRACT).unlink, (root / BLOBS).rmdir):
            with contextlib.suppress(OSError):
                remove()
        raise


def _give_final_name(source: Path, target: Path) -> None:
    """Rename, but never over a file that is there."""
    taken = Conflict(f"{target.parent} was made a portfolio by another process just now; use it, or choose another")
    try:
        os.link(source, target)
    except FileExistsError:
        raise taken from None
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        if target.exists():
            raise taken from None
        os.rename(source, target)
