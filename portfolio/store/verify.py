"""Everything that can be wrong with a portfolio's directory, found by reading all of it.

What is damage makes answers wrong or impossible. What is not (temporary files, blobs that nothing refers to) was left
by a killed process, or is being written at this moment, and does no harm.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from portfolio.errors import PortfolioError, StoreError
from portfolio.records import BARE_BASE, CHAMPION, NOBODY
from portfolio.refs import Ref
from portfolio.store import release_rows, rows
from portfolio.store.adapter_rows import read_adapters, read_digest
from portfolio.store.blobs import Blobs, damage, file_digest
from portfolio.store.checksums import checksum
from portfolio.store.creation import CONTRACT, UNFINISHED
from portfolio.store.database import Database
from portfolio.store.durable import TEMPORARY
from portfolio.store.references import blob_uses, waiting_to_be_deleted
from portfolio.store.result_rows import read_cells
from portfolio.store.schema import definitions, expected_definitions, knows_releases, schema_version, state_tables

_FROM_A_COPY = "restore portfolio.db from a copy of the portfolio"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One finding."""

    # Damage: `database`, `row`, `incomplete`, `base`, `blob-missing`, `blob-damaged`; else `orphan`, `temporary`.
    kind: str
    subject: str  # a file relative to the portfolio, or a table's row
    message: str
    is_damage: bool


def find_faults(database: Database, blobs: Blobs, root: Path) -> tuple[Fault, ...]:
    """All faults, those of the database first. Safe while other processes read and write."""
    faults: list[Fault] = []
    uses: dict[str, list[str]] | None = None  # None: unknown
    waiting: set[str] = set()
    try:
        with database.reading() as db:
            db.text_factory = lambda raw: raw.decode("utf-8", errors="backslashreplace")
            faults += database_faults(db, database.path.name)
            faults += _contract_faults(db, root / CONTRACT)
            uses, waiting = blob_uses(db), waiting_to_be_deleted(db)
    except PortfolioError as error:
        faults.append(_damage("database", database.path.name, str(error)))
    # After the references, so that a blob written meanwhile is an orphan at worst, never a missing one.
    faults += _blob_faults(blobs, uses, waiting, root)
    faults += _unfinished(root)
    return tuple(faults)


# The database


def database_faults(db: sqlite3.Connection, name: str) -> Iterator[Fault]:
    """Those of the rows alone, without a look at the blobs."""
    for (said,) in db.execute("PRAGMA integrity_check"):
        if said != "ok":
            yield _damage("database", name, f"{name} is damaged: {said}; {_FROM_A_COPY}")
    for table, number, parent, _ in db.execute("PRAGMA foreign_key_check"):
        subject = f"{table} row {number}"
        yield _damage("row", subject, f"{subject} refers to a {parent} that is not there; {_FROM_A_COPY}")
    if expected_definitions(schema_version(db)) <= definitions(db):
        yield from _checksum_faults(db)
        yield from _incomplete(db)
        yield from _release_faults(db)
        yield from _member_faults(db)
        yield from _result_faults(db)
    else:
        yield _damage(
            "database", name, f"{name} lacks tables, or columns in them, that this package makes; {_FROM_A_COPY}"
        )


def _checksum_faults(db: sqlite3.Connection) -> Iterator[Fault]:
    for table in state_tables(db):
        for number, row in enumerate(db.execute(f"SELECT * FROM {table}"), start=1):
            if row["checksum"] != checksum(dict(row)):
                subject = f"{table} row {number}"
                what = f"{subject} ({_key(row)}) is not as it was written: its checksum differs"
                yield _damage("row", subject, f"{what}; {_FROM_A_COPY}")


def _key(row: sqlite3.Row) -> str:
    """The first columns, enough to know a row by."""
    return ", ".join(f"{column}={str(row[column])[:40]!r}" for column in row.keys()[:2])


def _incomplete(db: sqlite3.Connection) -> Iterator[Fault]:
    """Rows that contradict each other, though each is well formed."""
    names = rows.task_names(db)
    for name in names:
        champion = release_rows.read_alias(db, name, CHAMPION)
        if champion is None or read_digest(db, Ref(name, champion)) is None:
            yield _damage("incomplete", name, f"task {name!r} has no champion adapter; remove it and add it again")
    routers = db.execute("SELECT COUNT(*) FROM router").fetchone()[0]
    if routers != int(bool(names)):
        found = f"{routers} router states for {len(names)} tasks, expected {int(bool(names))}"
        yield _damage("incomplete", "router", f"{found}; {_FROM_A_COPY}")
    if db.execute("SELECT COUNT(*) FROM portfolio").fetchone()[0] != 1:
        yield _damage("incomplete", "portfolio", f"expected one row in the table portfolio; {_FROM_A_COPY}")


def _release_faults(db: sqlite3.Connection) -> Iterator[Fault]:
    """Versions that lack a lineage, tasks unlike that of their champion, and tasks in whose place nobody can answer.

    That an alias, a trial or what is ready names a version that is there, the references of the tables say already.
    """
    if not knows_releases(db):
        return
    for name, version in db.execute("SELECT name, version FROM version EXCEPT SELECT name, version FROM lineage"):
        ref = Ref(name, version)
        yield _damage("incomplete", str(ref), f"adapter {ref} lacks what it was learned from; {_FROM_A_COPY}")
    differ = " OR ".join(f"task.{column} IS NOT lineage.{column}" for column in release_rows.SHARED)
    for name, version in db.execute(
        "SELECT task.name, lineage.version FROM task JOIN alias ON alias.name = task.name AND alias = 'champion' "
        f"JOIN lineage ON lineage.name = task.name AND lineage.version = alias.version WHERE {differ}"
    ):
        what = f"task {name!r} does not say what its champion {Ref(name, version)} was learned from"
        yield _damage("incomplete", name, f"{what}; {_FROM_A_COPY}")
    for name, instead in db.execute(
        "SELECT name, disabled FROM task WHERE disabled NOT IN (?, ?) AND disabled NOT IN (SELECT name FROM task)",
        (BARE_BASE, NOBODY),
    ):
        what = f"task {name!r} is disabled, and {instead!r}, which is no task, answers instead"
        yield _damage("incomplete", name, f"{what}; {_FROM_A_COPY}")


def _member_faults(db: sqlite3.Connection) -> Iterator[Fault]:
    """Adapters that lack a member, or whose member is not the one they were made of."""
    try:
        adapters = read_adapters(db)
    except StoreError as error:
        yield _damage("incomplete", "adapters", str(error))
        return
    digests = {adapter.ref: adapter.digest for adapter in adapters}
    for adapter in adapters:
        for member in adapter.members:
            found = digests.get(member.ref)  # None where it is not there: a reference to nothing, reported as such
            if found not in (None, member.digest):
                what = (
                    f"adapter {adapter.ref} is made of {member.ref} with SHA-256 {member.digest}, but that has {found}"
                )
                yield _damage("incomplete", str(adapter.ref), f"{what}; {_FROM_A_COPY}")


def _result_faults(db: sqlite3.Connection) -> Iterator[Fault]:
    """Results that cannot be read, or are of tasks that are not there."""
    try:
        read_cells(db)
    except StoreError as error:
        yield _damage("incomplete", "results", str(error))


def _contract_faults(db: sqlite3.Connection, path: Path) -> Iterator[Fault]:
    expected = rows.read_contract_json(db)
    try:
        is_equal = path.read_bytes() == expected.encode()
        found = "differs from the contract in portfolio.db"
    except OSError as error:
        is_equal = False
        found = f"cannot be read ({error.strerror})"
    if not is_equal:
        what = f"{path} {found}; delete it, and the next command that opens the portfolio writes it again"
        yield _damage("base", path.name, what)


# The blobs


def _blob_faults(blobs: Blobs, uses: dict[str, list[str]] | None, waiting: set[str], root: Path) -> Iterator[Fault]:
    seen: set[str] = set()
    for path, digest in blobs.files():
        subject = os.path.relpath(path, root)
        if digest is None:
            yield _no_blob(path, subject)
            continue
        try:
            found = f"holds bytes of SHA-256 {file_digest(path)}"
        except FileNotFoundError:
            continue  # deleted since it was listed; if it is needed, it is reported below
        except OSError as error:
            found = f"cannot be read ({error.strerror})"
        seen.add(digest)
        if not found.endswith(digest):
            yield _damage("blob-damaged", subject, f"{damage(path, digest, found)}. It is: {_named(uses, digest)}")
        elif uses is not None and digest not in uses and digest not in waiting:
            yield _left_over("orphan", subject, f"nothing refers to {path}: a process was killed or gave up")
    for digest in sorted(set(uses or ()) - seen):
        yield _missing(blobs, digest, _named(uses, digest), root)


def _no_blob(path: Path, subject: str) -> Fault:
    if path.name.startswith(TEMPORARY):
        return _left_over("temporary", subject, f"{path} is being written, or was left by a killed process")
    return _left_over("orphan", subject, f"{path} is no blob")


def _named(uses: dict[str, list[str]] | None, digest: str) -> str:
    return ", ".join((uses or {}).get(digest, ())) or "needed by nothing"


def _missing(blobs: Blobs, digest: str, named: str, root: Path) -> Fault:
    try:
        path = blobs.path(digest)
    except StoreError as error:
        return _damage("blob-missing", digest, f"{error}, as the digest of: {named}; {_FROM_A_COPY}")
    message = f"{damage(path, digest, 'is missing')}. It is: {named}"
    return _damage("blob-missing", os.path.relpath(path, root), message)


# What a killed process left


def _unfinished(root: Path) -> Iterator[Fault]:
    for path in sorted(root.glob(f"{UNFINISHED}*")):
        yield _left_over("temporary", path.name, f"{path} was left by a killed `portfolio init`")
    for path in sorted(root.glob(f"{TEMPORARY}*")):
        yield _left_over("temporary", path.name, f"{path} is being written, or was left by a killed process")


def _damage(kind: str, subject: str, message: str) -> Fault:
    return Fault(kind=kind, subject=subject, message=message, is_damage=True)


def _left_over(kind: str, subject: str, message: str) -> Fault:
    what = f"{message}; it does no harm (`portfolio gc` deletes what is left for good)"
    return Fault(kind=kind, subject=subject, message=what, is_damage=False)
