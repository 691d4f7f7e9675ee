"""What must hold between rows, and between rows and blobs: checked as records are written.

Every function works in the caller's transaction, so a refusal undoes all of the change that it is part of.
"""

from __future__ import annotations

import shlex
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path

from portfolio.errors import Conflict, DamagedBlob, NotFound, require
from portfolio.records import AdapterRecord, Cell, RouterState
from portfolio.store import rows
from portfolio.store.blobs import Blobs, damage
from portfolio.store.references import router_blobs

_LISTED_TASKS = 20


def require_free(db: sqlite3.Connection, path: Path, name: str, adapter: AdapterRecord) -> None:
    """Raise Conflict if the task's name or the adapter's version is taken."""
    if name in rows.task_names(db):
        raise Conflict(
            f"there is already a task {name!r} in {path}; choose another name, or remove it first with: "
            f"portfolio -p {shlex.quote(str(path))} remove-task {name}"
        )
    if rows.has_version(db, adapter.name, adapter.version):
        raise Conflict(f"there is already an adapter {adapter.ref} in {path}; choose another name")


def require_task(db: sqlite3.Connection, path: Path, name: str) -> None:
    """Raise NotFound unless there is a task of that name."""
    names = rows.task_names(db)
    if name not in names:
        raise NotFound(f"no task {name!r} in {path}; {_known(names)}")


def require_blobs(blobs: Blobs, digests: Iterable[str]) -> None:
    """Raise DamagedBlob unless each of these was put."""
    for digest in digests:
        if not blobs.has(digest):
            raise DamagedBlob(damage(blobs.path(digest), digest, "is missing"))


def put_router(db: sqlite3.Connection, blobs: Blobs, router: RouterState | None) -> set[str]:
    """Write the router's state, None if and only if there is no task, and give the digests that it leaves behind."""
    has_tasks = bool(rows.task_names(db))
    require(
        has_tasks == (router is not None),
        "expected a router state while there are tasks" if has_tasks else "expected no router state without tasks",
    )
    left = router_blobs(rows.read_router(db)).keys() - router_blobs(router).keys()
    rows.put_router(db, router)
    require_blobs(blobs, router_blobs(router))
    return left


def put_cells(db: sqlite3.Connection, path: Path, cells: Sequence[Cell]) -> None:
    """Write results, which may name only tasks that are there."""
    names = rows.task_names(db)
    unknown = sorted({name for cell in cells for name in (cell.step, cell.task)} - set(names))
    if unknown:
        raise NotFound(f"results name tasks that are not in {path}: {', '.join(unknown)}; {_known(names)}")
    rows.put_cells(db, cells)


def _known(names: Sequence[str]) -> str:
    if not names:
        return "it has no task yet"
    more = f" and {len(names) - _LISTED_TASKS} more" if len(names) > _LISTED_TASKS else ""
    return f"it has: {', '.join(names[:_LISTED_TASKS])}{more}"
