"""What must hold between rows, and between rows and blobs: checked as records are written.

Every function works in the caller's transaction, so a refusal undoes all of the change that it is part of.
"""

from __future__ import annotations

import shlex
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path

from portfolio.errors import Conflict, DamagedBlob, NotFound, require
from portfolio.records import BARE_BASE, NOBODY, AdapterRecord, Cell, RouterState
from portfolio.store import adapter_rows, result_rows, rows
from portfolio.store.blobs import Blobs, damage
from portfolio.store.references import router_blobs

_LISTED_TASKS = 20


def require_free(db: sqlite3.Connection, path: Path, name: str) -> None:
    """Raise Conflict if the task's name is taken."""
    if name in rows.task_names(db):
        raise Conflict(
            f"there is already a task {name!r} in {path}; choose another name, or remove it first with: "
            f"portfolio -p {shlex.quote(str(path))} remove-task {name}"
        )


def require_own(task: str, adapters: Sequence[AdapterRecord]) -> None:
    """Raise ConfigError unless these are rising versions of this task's adapter, none made of itself or a later one."""
    require(len(adapters) > 0, f"expected one or more adapters for task {task!r}, got none")
    for adapter in adapters:
        require(
            adapter.task == adapter.name == task,
            f"adapter {adapter.ref} is for {adapter.task!r}, expected {task!r}, by which it must be called, too",
        )
        for member in adapter.members:
            require(
                member.name != task or member.version < adapter.version,
                f"adapter {adapter.ref} is made of {member.ref}, expected earlier versions only",
            )
    versions = [adapter.version for adapter in adapters]
    require(
        versions == sorted(set(versions)),  # so that the last one, which becomes the champion, is the newest
        f"expected rising versions of adapter {task!r}, got: {', '.join(map(str, versions))}",
    )


def require_members(db: sqlite3.Connection, path: Path, adapters: Sequence[AdapterRecord]) -> None:
    """Nothing, if all that these are made of is among them or in the portfolio, by the same bytes.

    Raises:
        NotFound: a member is not there.
        Conflict: it is there, but it is another one than it was.
    """
    new = {adapter.ref: adapter.digest for adapter in adapters}
    for adapter in adapters:
        there = {member: new.get(member.ref) or adapter_rows.read_digest(db, member.ref) for member in adapter.members}
        gone = [str(member.ref) for member, digest in there.items() if digest is None]
        if gone:
            raise NotFound(
                f"adapter {adapter.ref} is made of {', '.join(gone)}, no longer in {path}: removed meanwhile; make it "
                "again of adapters that are there"
            )
        other = [str(member.ref) for member, digest in there.items() if digest != member.digest]
        if other:
            raise Conflict(
                f"adapter {adapter.ref} is made of {', '.join(other)}, but in {path} that is another adapter now: "
                "removed and added anew meanwhile; make it again of what is there now"
            )


def require_tasks(db: sqlite3.Connection, path: Path, names: Sequence[str]) -> None:
    """Raise one NotFound that names all of these that are no task, unless each is one."""
    known = rows.task_names(db)
    unknown = [repr(name) for name in names if name not in known]
    if unknown:
        raise NotFound(f"no task {', '.join(unknown)} in {path}; {_known(known)}")


def require_no_stand_in(db: sqlite3.Connection, path: Path, names: Sequence[str]) -> None:
    """Raise Conflict if a task that is not among these is disabled, and one of these answers in its place."""
    for name, instead in db.execute("SELECT name, disabled FROM task WHERE disabled IS NOT NULL ORDER BY position"):
        is_task = instead not in (BARE_BASE, NOBODY)  # though one may be called so
        if is_task and instead in names and name not in names:
            raise Conflict(
                f"task {instead!r} answers in the place of {name!r}, which is disabled; let something else answer first, "
                f"with: portfolio -p {shlex.quote(str(path))} disable {name} --instead {BARE_BASE}"
            )


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
    result_rows.put_cells(db, cells)


def _known(names: Sequence[str]) -> str:
    if not names:
        return "it has no task yet"
    more = f" and {len(names) - _LISTED_TASKS} more" if len(names) > _LISTED_TASKS else ""
    return f"it has: {', '.join(names[:_LISTED_TASKS])}{more}"
