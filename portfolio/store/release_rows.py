"""What belongs to releases, to rows and back: lineages, aliases, verdicts, what is ready, who is tried, suites.

A portfolio of an older schema has none of these tables but that of aliases: it is read as if all were empty, and the lineage
of a version as what its task's row says.

Every function works in the caller's transaction.
"""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from portfolio.records import Alias, Cell, Lineage, Ready, Source, TaskRecord, Traffic
from portfolio.refs import Ref
from portfolio.store.checksums import checksum
from portfolio.store.rows import (
    decoded,
    fields_of,
    insert,
    require_intact,
    router_from_json,
    router_to_json,
    storable,
)
from portfolio.store.schema import knows_releases

# What a task's row takes over from the lineage of its champion.
SHARED = (
    *("labels", "has_pairs", "columns", "sources", "seed", "reading", "centroids", "scatter", "evaluation", "notes"),
)
_JSON = ("labels", "columns", "sources", "notes")


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictRow:
    """That a version was judged; the figures are in the blob."""

    at: str  # ISO 8601, UTC
    name: str
    version: int
    adapter: str  # the digest of what was judged
    outcome: str  # `PASS`, `BLOCK` or `INCONCLUSIVE`
    digest: str  # of a JSON blob

    @property
    def ref(self) -> Ref:
        return Ref(self.name, self.version)


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteRow:
    """A shared evaluation suite; its rows are in the blob."""

    name: str
    digest: str  # of a JSON blob
    rows: int
    source: str  # where they were read
    added_at: str = ""  # ISO 8601, UTC


# Lineages


def shared_by(record: TaskRecord | Lineage) -> dict[str, Any]:
    """Its fields of `SHARED`."""
    return {field: getattr(record, field) for field in SHARED}


def lineage_of(task: TaskRecord, version: int, *, base: str, code: str, parent: str | None = None) -> Lineage:
    """That of a version which was learned from what its task's record says."""
    return Lineage(name=task.name, version=version, base=base, code=code, parent=parent, **shared_by(task))


def insert_lineage(db: sqlite3.Connection, lineage: Lineage) -> None:
    row = {field.name: getattr(lineage, field.name) for field in dataclasses.fields(lineage)}
    sources = [dataclasses.asdict(source) for source in lineage.sources]
    written = {key: json.dumps(sources if key == "sources" else row[key]) for key in _JSON}
    insert(db, "lineage", {**row, **written, "has_pairs": int(lineage.has_pairs), "seed": int(lineage.seed)})


def read_lineage(db: sqlite3.Connection, ref: Ref) -> Lineage | None:
    """That of one version; None if the version is not there."""
    if knows_releases(db):
        row = db.execute("SELECT * FROM lineage WHERE name = ? AND version = ?", (ref.name, ref.version)).fetchone()
        return None if row is None else decoded("lineage", row, _lineage)
    row = db.execute(
        "SELECT version.name, version.version, task.* FROM version JOIN task ON task.name = version.task "
        "WHERE version.name = ? AND version.version = ?",
        (ref.name, ref.version),
    ).fetchone()
    return None if row is None else decoded("task", row, _lineage)


def read_lineages(db: sqlite3.Connection, name: str | None = None) -> tuple[Lineage, ...]:
    """Of all versions, or of those of one adapter; by name and version."""
    some, values = ("", ()) if name is None else ("WHERE version.name = ? ", (name,))
    if knows_releases(db):
        sql = f"SELECT version.* FROM lineage AS version {some}ORDER BY name, version"
    else:
        sql = (
            "SELECT task.*, version.name, version.version FROM version JOIN task ON task.name = version.task "
            f"{some}ORDER BY version.name, version.version"
        )
    return tuple(decoded("lineage", row, _lineage) for row in db.execute(sql, values))


def write_task_of(db: sqlite3.Connection, lineage: Lineage) -> None:
    """Let a task's row say what its new champion was learned from."""
    row = db.execute("SELECT * FROM task WHERE name = ?", (lineage.name,)).fetchone()
    require_intact("task", row)
    source = db.execute(
        "SELECT * FROM lineage WHERE name = ? AND version = ?", (lineage.name, lineage.version)
    ).fetchone()
    require_intact("lineage", source)
    _update(db, "task", row, {field: source[field] for field in SHARED}, "name")


def set_disabled(db: sqlite3.Connection, name: str, instead: str | None) -> None:
    """Who answers in a task's place; None: the task itself."""
    row = db.execute("SELECT * FROM task WHERE name = ?", (name,)).fetchone()
    require_intact("task", row)
    _update(db, "task", row, {"disabled": instead}, "name")


def set_deprecated(db: sqlite3.Connection, ref: Ref, why: str | None) -> None:
    """Why a version should not be used any more; None: it may be."""
    row = db.execute("SELECT * FROM version WHERE name = ? AND version = ?", (ref.name, ref.version)).fetchone()
    require_intact("version", row)
    _update(db, "version", row, {"deprecated": None if why is None else storable(why)}, "name", "version")


def _lineage(row: sqlite3.Row) -> Lineage:
    values = fields_of(Lineage, row)
    return Lineage(
        **{
            **values,
            "labels": tuple(json.loads(values["labels"])),
            "has_pairs": bool(values["has_pairs"]),
            "columns": tuple(json.loads(values["columns"])),
            "sources": tuple(Source(**source) for source in json.loads(values["sources"])),
            "notes": tuple(json.loads(values["notes"])),
        }
    )


# Aliases


def read_aliases(db: sqlite3.Connection) -> tuple[Alias, ...]:
    """All, by name and alias."""
    rows = db.execute("SELECT name, alias, version FROM alias ORDER BY name, alias")
    return tuple(decoded("alias", row, lambda values: Alias(**dict(values))) for row in rows)


def read_alias(db: sqlite3.Connection, name: str, alias: str) -> int | None:
    """The version that it names; None if there is no such alias."""
    row = db.execute("SELECT version FROM alias WHERE name = ? AND alias = ?", (name, alias)).fetchone()
    return None if row is None else int(row["version"])


def put_alias(db: sqlite3.Connection, name: str, alias: str, version: int | None) -> None:
    """Let an alias name this version, whatever it named before; None takes it away."""
    db.execute("DELETE FROM alias WHERE name = ? AND alias = ?", (name, alias))
    if version is not None:
        insert(db, "alias", {"name": name, "alias": alias, "version": int(version)})


# Verdicts


def insert_verdict(db: sqlite3.Connection, verdict: VerdictRow) -> None:
    number = db.execute("SELECT COALESCE(MAX(number), 0) + 1 FROM verdict").fetchone()[0]
    insert(db, "verdict", {"number": number, **dataclasses.asdict(verdict)})


def read_verdicts(db: sqlite3.Connection, name: str | None = None) -> tuple[VerdictRow, ...]:
    """All, or those on one adapter; oldest first."""
    if not knows_releases(db):
        return ()
    some, values = ("", ()) if name is None else ("WHERE name = ? ", (name,))
    rows = db.execute(f"SELECT at, name, version, adapter, outcome, digest FROM verdict {some}ORDER BY number", values)
    return tuple(decoded("verdict", row, lambda values: VerdictRow(**dict(values))) for row in rows)


# What is ready


def put_ready(db: sqlite3.Connection, ready: Ready) -> set[str]:
    """In the place of what was ready for that version before, of which it gives the digests that it leaves behind."""
    key = (ready.name, ready.version)
    earlier = db.execute("SELECT totals, outcomes FROM ready WHERE name = ? AND version = ?", key).fetchone()
    db.execute("DELETE FROM ready WHERE name = ? AND version = ?", key)
    insert(
        db,
        "ready",
        {
            "name": ready.name,
            "version": int(ready.version),
            "surroundings": ready.surroundings,
            "router": router_to_json(ready.router),
            "cells": json.dumps([dataclasses.asdict(cell) for cell in ready.cells]),
            "totals": ready.router.totals,
            "outcomes": ready.outcomes,
        },
    )
    return set(earlier or ()) - {ready.router.totals, ready.outcomes}


def forget_ready(db: sqlite3.Connection, surroundings: Mapping[str, str]) -> set[str]:
    """Remove what holds no longer; the digests that it leaves behind.

    Args:
        surroundings: by adapter, those that are there now.
    """
    left: set[str] = set()
    for row in db.execute("SELECT name, version, surroundings, totals, outcomes FROM ready").fetchall():
        if surroundings.get(row["name"]) != row["surroundings"]:
            db.execute("DELETE FROM ready WHERE name = ? AND version = ?", (row["name"], row["version"]))
            left |= {row["totals"], row["outcomes"]}
    return left


def read_ready_names(db: sqlite3.Connection) -> tuple[str, ...]:
    if not knows_releases(db):
        return ()
    return tuple(row["name"] for row in db.execute("SELECT DISTINCT name FROM ready ORDER BY name"))


def read_ready(db: sqlite3.Connection, ref: Ref) -> Ready | None:
    if not knows_releases(db):
        return None
    row = db.execute("SELECT * FROM ready WHERE name = ? AND version = ?", (ref.name, ref.version)).fetchone()
    return None if row is None else decoded("ready", row, _ready)


def _ready(row: sqlite3.Row) -> Ready:
    return Ready(
        name=row["name"],
        version=row["version"],
        surroundings=row["surroundings"],
        router=router_from_json(row["router"]),
        cells=tuple(Cell(**cell) for cell in json.loads(row["cells"])),
        outcomes=row["outcomes"],
    )


# Traffic


def put_traffic(db: sqlite3.Connection, name: str, traffic: Traffic | None) -> None:
    """What a task's challenger is tried on; None: nothing."""
    db.execute("DELETE FROM traffic WHERE name = ?", (name,))
    if traffic is not None:
        row = dataclasses.asdict(traffic)
        row["split_by"] = row.pop("by")
        insert(db, "traffic", {**row, "share": float(traffic.share)})


def read_traffic(db: sqlite3.Connection) -> tuple[Traffic, ...]:
    """Of all tasks, by name."""
    if not knows_releases(db):
        return ()
    rows = db.execute("SELECT name, version, mode, share, split_by AS by, since FROM traffic ORDER BY name")
    return tuple(decoded("traffic", row, lambda values: Traffic(**dict(values))) for row in rows)


# Suites


def put_suite(db: sqlite3.Connection, suite: SuiteRow) -> set[str]:
    """In the place of one of that name, of which it gives the digest that it leaves behind."""
    left = delete_suite(db, suite.name) - {suite.digest}
    insert(db, "suite", {**dataclasses.asdict(suite), "rows": int(suite.rows)})
    return left


def delete_suite(db: sqlite3.Connection, name: str) -> set[str]:
    """Remove a suite, if there is one, and give the digest that it leaves behind."""
    left = {str(digest) for (digest,) in db.execute("SELECT digest FROM suite WHERE name = ?", (name,))}
    db.execute("DELETE FROM suite WHERE name = ?", (name,))
    return left


def read_suites(db: sqlite3.Connection) -> tuple[SuiteRow, ...]:
    """All, by name."""
    if not knows_releases(db):
        return ()
    rows = db.execute("SELECT name, digest, rows, source, added_at FROM suite ORDER BY name")
    return tuple(decoded("suite", row, lambda values: SuiteRow(**dict(values))) for row in rows)


# What goes with a task, and which blobs are named


def delete_releases(db: sqlite3.Connection, tasks: Iterable[str]) -> None:
    """Remove what belongs to versions of adapters that are about to go; verdicts stay on record."""
    names = [(name,) for name in tasks]
    for table in ("lineage", "ready", "traffic", "observation"):
        db.executemany(f"DELETE FROM {table} WHERE name = ?", names)


def release_blobs(db: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    """Each digest that these tables name, with what the blob is called in messages."""
    if not knows_releases(db):
        return
    for row in db.execute("SELECT name, version, centroids, scatter, evaluation FROM lineage"):
        for what in ("centroids", "scatter", "evaluation"):
            yield str(row[what]), f"{what} of adapter {row['name']}@{row['version']}"
    for row in db.execute("SELECT name, version, totals, outcomes FROM ready"):
        yield str(row["totals"]), f"sums of the router with {row['name']}@{row['version']}"
        yield str(row["outcomes"]), f"outcomes with {row['name']}@{row['version']}"
    for row in db.execute("SELECT name, version, digest FROM verdict"):
        yield str(row["digest"]), f"verdict on adapter {row['name']}@{row['version']}"
    for row in db.execute("SELECT name, digest FROM suite"):
        yield str(row["digest"]), f"rows of suite {row['name']}"


def _update(db: sqlite3.Connection, table: str, row: sqlite3.Row, changes: dict[str, Any], *key: str) -> None:
    """Change some columns of an intact row, with its checksum."""
    changed = {**dict(row), **changes}
    assignments = ", ".join(f"{column} = :{column}" for column in changes)
    where = " AND ".join(f"{column} = :{column}" for column in key)
    db.execute(
        f"UPDATE {table} SET {assignments}, checksum = :checksum WHERE {where}",
        {**changed, "checksum": checksum(changed)},
    )
