"""Which blobs a portfolio needs, and the deleting of those that a change left behind.

Each new task writes new sums for the router, of several megabytes; kept for ever, the old ones would outgrow the
adapters. They are kept for `KEPT_CHANGES`, because another thread or process may still work from an earlier snapshot,
and no file is deleted within `KEPT_S` of being put, because somebody may be about to commit what refers to it.

Every function works in the caller's transaction, so that no process deletes what another one commits.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable

from portfolio.records import RouterState
from portfolio.store.adapter_rows import read_attention_blobs
from portfolio.store.blobs import Blobs
from portfolio.store.checksums import checksum
from portfolio.store.release_rows import release_blobs
from portfolio.store.rows import insert, read_moments, read_router

KEPT_CHANGES = 8
KEPT_S = 600.0

# Every column that refers to a blob, with what the blob is called in messages; what a column of JSON
# names is in `read_attention_blobs` and `router_blobs`; moments, which older portfolios lack, are read apart.
_REFERENCES = """
    SELECT centroids AS digest, 'centroids of task ' || name AS used_as FROM task
    UNION ALL SELECT scatter, 'scatter of task ' || name FROM task
    UNION ALL SELECT evaluation, 'evaluation of task ' || name FROM task
    UNION ALL SELECT digest, 'adapter ' || name || '@' || version FROM version
"""


def blob_uses(db: sqlite3.Connection) -> dict[str, list[str]]:
    """For each digest that a row refers to: what it is, in words."""
    uses: dict[str, list[str]] = {}
    for digest, used_as in db.execute(_REFERENCES):
        uses.setdefault(str(digest), []).append(str(used_as))  # damage can turn a text into bytes
    for blob in read_attention_blobs(db):
        uses.setdefault(str(blob.digest), []).append(f"attention of adapter {blob.ref}")
    for moment in read_moments(db):
        uses.setdefault(moment.outcomes, []).append(f"outcomes of generation {moment.generation}")
    for digest, used_as in release_blobs(db):
        uses.setdefault(digest, []).append(used_as)
    for digest, used_as in router_blobs(read_router(db)).items():
        uses.setdefault(str(digest), []).append(used_as)
    return uses


def router_blobs(router: RouterState | None) -> dict[str, str]:
    """The digests that a router's state names, with what the blobs are called in messages."""
    if router is None:
        return {}
    named = {router.totals: "sums of the router"}
    if router.wishes.oos is not None:
        named[router.wishes.oos] = "out-of-scope examples of the router"
    return named


def task_blobs(db: sqlite3.Connection, name: str) -> set[str]:
    """The digests that the rows of this task and its adapters name."""
    found = db.execute(
        "SELECT centroids FROM task WHERE name = :name UNION SELECT scatter FROM task WHERE name = :name "
        "UNION SELECT evaluation FROM task WHERE name = :name UNION SELECT digest FROM version WHERE task = :name",
        {"name": name},
    )
    attention = {blob.digest for blob in read_attention_blobs(db) if blob.task == name}
    released = db.execute(
        "SELECT centroids FROM lineage WHERE name = :name UNION SELECT scatter FROM lineage WHERE name = :name "
        "UNION SELECT evaluation FROM lineage WHERE name = :name UNION SELECT totals FROM ready WHERE name = :name "
        "UNION SELECT outcomes FROM ready WHERE name = :name",
        {"name": name},
    )
    return attention | {digest for (digest,) in found} | {digest for (digest,) in released}


def retire(db: sqlite3.Connection, blobs: Blobs, left: Iterable[str], generation: int, now_s: float) -> None:
    """Note what the change to `generation` left behind, and delete what was left behind long enough ago.

    Args:
        now_s: seconds since the epoch.
    """
    for digest in left:
        db.execute("DELETE FROM retired WHERE digest = ?", (digest,))
        insert(db, "retired", {"digest": digest, "generation": generation, "is_deleted": 0})
    expired = db.execute(
        "SELECT * FROM retired WHERE is_deleted = 0 AND generation <= ?", (generation - KEPT_CHANGES,)
    ).fetchall()
    uses = blob_uses(db) if expired else {}
    for row in expired:
        digest = row["digest"]
        if digest in uses:  # needed again
            db.execute("DELETE FROM retired WHERE digest = ?", (digest,))
        else:
            with contextlib.suppress(OSError):
                if blobs.delete_unless_put(digest, now_s - KEPT_S):
                    mark_deleted(db, digest)


def mark_deleted(db: sqlite3.Connection, digest: str) -> None:
    """Note that a blob is gone, if a change left it behind: who still works from an earlier snapshot is told so."""
    row = db.execute("SELECT * FROM retired WHERE digest = ?", (digest,)).fetchone()
    if row is not None:
        gone = {**row, "is_deleted": 1}
        db.execute("UPDATE retired SET is_deleted = 1, checksum = ? WHERE digest = ?", (checksum(gone), digest))


def is_of_the_past(db: sqlite3.Connection, digest: str) -> bool:
    """Whether the blob was needed by an earlier state only: its file may be gone, or go at any moment."""
    row = db.execute("SELECT 1 FROM retired WHERE digest = ?", (digest,)).fetchone()
    return row is not None and digest not in blob_uses(db)


def waiting_to_be_deleted(db: sqlite3.Connection, after: int = -1) -> set[str]:
    """The digests that were left behind, by changes after that generation, and are still kept."""
    kept = db.execute("SELECT digest FROM retired WHERE is_deleted = 0 AND generation > ?", (after,))
    return {str(digest) for (digest,) in kept}
