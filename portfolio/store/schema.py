"""The tables of `portfolio.db`, as numbered migrations: append-only functions that run once each.

Every row that holds state ends in a `checksum` over its other filled columns (checksums.py), because SQLite itself notices a
damaged page but not a flipped bit inside a text. A new column that may be NULL leaves old checksums valid, and lets a
portfolio be read that has not got it yet: migrations run with the first change (store.py), as a portfolio on a
read-only disk can be read but not migrated. SQL is kept plain enough to be moved to PostgreSQL.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import sqlite3
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

from portfolio.errors import SchemaTooNew, StoreError
from portfolio.store.checksums import checksum

Migration = Callable[[sqlite3.Connection], None]


def _first_tables(db: sqlite3.Connection) -> None:
    """Tasks, versions of adapters, aliases, results, the router's state, events."""
    for statement in _FIRST_TABLES:
        db.execute(statement)


_FIRST_TABLES = (
    """
    CREATE TABLE portfolio (
        one INTEGER PRIMARY KEY CHECK (one = 1),  -- a single row
        generation INTEGER NOT NULL,
        contract TEXT NOT NULL,
        created_at TEXT NOT NULL,
        checksum TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE task (
        name TEXT PRIMARY KEY NOT NULL,
        position INTEGER NOT NULL UNIQUE,  -- the order of adding; removals leave gaps
        kind TEXT NOT NULL,
        labels TEXT NOT NULL,  -- JSON
        has_pairs INTEGER NOT NULL CHECK (has_pairs IN (0, 1)),
        columns TEXT NOT NULL,  -- JSON
        sources TEXT NOT NULL,  -- JSON
        seed INTEGER NOT NULL,
        reading TEXT NOT NULL,  -- JSON: how the files were read
        centroids TEXT NOT NULL,  -- a blob's digest, as the next two
        scatter TEXT NOT NULL,
        evaluation TEXT NOT NULL,
        notes TEXT NOT NULL,  -- JSON
        added_at TEXT NOT NULL,
        checksum TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE version (
        name TEXT NOT NULL,
        version INTEGER NOT NULL CHECK (version >= 1),
        task TEXT NOT NULL REFERENCES task (name),
        digest TEXT NOT NULL,
        method TEXT NOT NULL,
        config TEXT NOT NULL,
        training TEXT NOT NULL,
        parameters INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        seconds REAL NOT NULL,
        epochs INTEGER NOT NULL,
        seed INTEGER NOT NULL,
        validation_score REAL NOT NULL,
        notes TEXT NOT NULL,  -- JSON
        created_at TEXT NOT NULL,
        checksum TEXT NOT NULL,
        PRIMARY KEY (name, version)
    )
    """,
    "CREATE INDEX version_task ON version (task)",
    """
    CREATE TABLE alias (
        name TEXT NOT NULL,
        alias TEXT NOT NULL,
        version INTEGER NOT NULL,
        checksum TEXT NOT NULL,
        PRIMARY KEY (name, alias),
        FOREIGN KEY (name, version) REFERENCES version (name, version)
    )
    """,
    """
    CREATE TABLE cell (
        step TEXT NOT NULL REFERENCES task (name),
        task TEXT NOT NULL REFERENCES task (name),
        rows INTEGER NOT NULL,
        oracle REAL,
        routed REAL,
        routing REAL,
        coverage REAL,
        selective REAL,
        floor REAL,
        baseline REAL,
        checksum TEXT NOT NULL,
        PRIMARY KEY (step, task)
    )
    """,
    "CREATE INDEX cell_task ON cell (task)",
    """
    CREATE TABLE router (
        one INTEGER PRIMARY KEY CHECK (one = 1),  -- a single row, or none while there is no task
        totals TEXT NOT NULL,
        threshold REAL NOT NULL,
        temperature REAL NOT NULL,
        shrinkage REAL NOT NULL,
        coverage REAL NOT NULL,
        checksum TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE retired (  -- blobs that a change left behind
        digest TEXT PRIMARY KEY NOT NULL,
        generation INTEGER NOT NULL,  -- the one whose change left it
        is_deleted INTEGER NOT NULL CHECK (is_deleted IN (0, 1)),
        checksum TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE event (
        number INTEGER PRIMARY KEY,
        at TEXT NOT NULL,
        action TEXT NOT NULL,
        subject TEXT NOT NULL,
        detail TEXT NOT NULL,  -- JSON
        checksum TEXT NOT NULL
    )
    """,
    """
    CREATE TRIGGER event_is_not_changed BEFORE UPDATE ON event
    BEGIN SELECT RAISE(ABORT, 'events are only ever appended'); END
    """,
    """
    CREATE TRIGGER event_is_not_deleted BEFORE DELETE ON event
    BEGIN SELECT RAISE(ABORT, 'events are only ever appended'); END
    """,
)


def _routing(db: sqlite3.Connection) -> None:
    """Tags of tasks, one more score, and what a router was told and how it was calibrated."""
    db.execute("ALTER TABLE task ADD COLUMN tags TEXT")  # a JSON object; NULL: none
    db.execute("ALTER TABLE cell ADD COLUMN astray_right REAL")
    db.execute("ALTER TABLE router ADD COLUMN more TEXT")  # JSON; NULL: as before this migration


def _members(db: sqlite3.Connection) -> None:
    """Adapters made of exact versions of other adapters."""
    db.execute("ALTER TABLE version ADD COLUMN more TEXT")  # JSON; NULL: not made of others, compared with nothing
    db.execute(
        """
        CREATE TABLE member (
            name TEXT NOT NULL,
            version INTEGER NOT NULL,
            place INTEGER NOT NULL,  -- from 0, in the order of the adapter's config
            member_name TEXT NOT NULL,
            member_version INTEGER NOT NULL,
            member_digest TEXT NOT NULL,  -- the same as in the member's own row
            checksum TEXT NOT NULL,
            PRIMARY KEY (name, version, place),
            FOREIGN KEY (name, version) REFERENCES version (name, version),
            FOREIGN KEY (member_name, member_version) REFERENCES version (name, version)
        )
        """
    )
    db.execute("CREATE INDEX member_of ON member (member_name, member_version)")


def _moments(db: sqlite3.Connection) -> None:
    """What became of every test row, at every change that measured."""
    db.execute(
        """
        CREATE TABLE moment (
            generation INTEGER PRIMARY KEY NOT NULL,  -- that the change made
            at TEXT NOT NULL,
            action TEXT NOT NULL,  -- this and the next three stay when tasks go, so they refer to none
            subject TEXT NOT NULL,
            step TEXT NOT NULL,
            outcomes TEXT NOT NULL,  -- a blob's digest
            checksum TEXT NOT NULL
        )
        """
    )
    for verb, what in (("UPDATE", "changed"), ("DELETE", "deleted")):
        db.execute(
            f"CREATE TRIGGER moment_is_not_{what} BEFORE {verb} ON moment "
            "BEGIN SELECT RAISE(ABORT, 'moments are only ever appended'); END"
        )


def _packed_results(db: sqlite3.Connection) -> None:
    """Results by step: one row for what were as many rows as there were tasks."""
    db.execute(
        """
        CREATE TABLE result (
            step TEXT PRIMARY KEY NOT NULL REFERENCES task (name),
            tasks BLOB NOT NULL,  -- their positions, growing; 32-bit integers, little-endian
            rows BLOB NOT NULL,  -- test rows behind the figures, likewise, one a task
            scores BLOB NOT NULL,  -- doubles, little-endian: one a task of the first score, then of the next; NaN: none
            checksum TEXT NOT NULL
        )
        """
    )
    # The scores in their order; a later one comes at the end, and older rows lack it.
    scores = ("oracle", "routed", "routing", "coverage", "selective", "floor", "baseline", "astray_right")
    earlier = db.execute(
        f"SELECT cell.step, task.position, cell.rows, {', '.join(scores)} FROM cell JOIN task ON task.name = cell.task "
        "ORDER BY cell.step, task.position"
    )
    for step, cells in itertools.groupby(earlier, key=lambda cell: cell["step"]):
        _, tasks, rows, *columns = zip(*cells, strict=True)
        measured = [math.nan if score is None else score for column in columns for score in column]
        row = {
            "step": step,
            "tasks": struct.pack(f"<{len(tasks)}i", *tasks),
            "rows": struct.pack(f"<{len(tasks)}i", *rows),
            "scores": struct.pack(f"<{len(measured)}d", *measured),
        }
        db.execute(
            "INSERT INTO result (step, tasks, rows, scores, checksum) VALUES (?, ?, ?, ?, ?)",
            (*row.values(), checksum(row)),
        )
    db.execute("DROP TABLE cell")


def _releases(db: sqlite3.Connection) -> None:
    """What each version was learned from; what was judged of it; who answers, is tried, or does not answer any more."""
    db.execute("ALTER TABLE task ADD COLUMN disabled TEXT")  # who answers instead; NULL: the task itself
    db.execute("ALTER TABLE version ADD COLUMN deprecated TEXT")  # why; NULL: it is not
    for statement in _RELEASE_TABLES:
        db.execute(statement)
    for table in ("verdict",):
        for verb, what in (("UPDATE", "changed"), ("DELETE", "deleted")):
            db.execute(
                f"CREATE TRIGGER {table}_is_not_{what} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table}s are only ever appended'); END"
            )
    same = ("labels", "has_pairs", "columns", "sources", "seed", "reading", "centroids", "scatter", "evaluation")
    contract = db.execute("SELECT contract FROM portfolio").fetchone()
    base = "" if contract is None else json.loads(contract["contract"])["fingerprint"]
    earlier = db.execute(
        f"SELECT version.name, version.version, {', '.join(f'task.{column}' for column in same)}, task.notes "
        "FROM version JOIN task ON task.name = version.task ORDER BY version.name, version.version"
    ).fetchall()
    for found in earlier:
        row = {**dict(found), "base": base, "code": "", "parent": None}
        columns = ", ".join(row)
        places = ", ".join(f":{column}" for column in row)
        db.execute(
            f"INSERT INTO lineage ({columns}, checksum) VALUES ({places}, :checksum)",
            {**row, "checksum": checksum(row)},
        )


_RELEASE_TABLES = (
    """
    CREATE TABLE lineage (
        name TEXT NOT NULL,
        version INTEGER NOT NULL,
        labels TEXT NOT NULL,  -- JSON; this and the next as in the table task
        has_pairs INTEGER NOT NULL CHECK (has_pairs IN (0, 1)),
        columns TEXT NOT NULL,
        sources TEXT NOT NULL,
        seed INTEGER NOT NULL,
        reading TEXT NOT NULL,
        centroids TEXT NOT NULL,
        scatter TEXT NOT NULL,
        evaluation TEXT NOT NULL,
        notes TEXT NOT NULL,
        base TEXT NOT NULL,  -- fingerprint
        code TEXT NOT NULL,
        parent TEXT,
        checksum TEXT NOT NULL,
        PRIMARY KEY (name, version),
        FOREIGN KEY (name, version) REFERENCES version (name, version)
    )
    """,
    """
    CREATE TABLE verdict (
        number INTEGER PRIMARY KEY,
        at TEXT NOT NULL,
        name TEXT NOT NULL,  -- this and the version stay when a task goes, so they refer to none
        version INTEGER NOT NULL,
        adapter TEXT NOT NULL,  -- the digest of what was judged
        outcome TEXT NOT NULL,
        digest TEXT NOT NULL,  -- of the blob with every figure
        checksum TEXT NOT NULL
    )
    """,
    "CREATE INDEX verdict_of ON verdict (name, version)",
    """
    CREATE TABLE ready (  -- what the portfolio would be with this version as champion
        name TEXT NOT NULL,
        version INTEGER NOT NULL,
        surroundings TEXT NOT NULL,
        router TEXT NOT NULL,  -- JSON
        cells TEXT NOT NULL,  -- JSON
        totals TEXT NOT NULL,  -- a blob's digest, as the next
        outcomes TEXT NOT NULL,
        checksum TEXT NOT NULL,
        PRIMARY KEY (name, version),
        FOREIGN KEY (name, version) REFERENCES version (name, version)
    )
    """,
    """
    CREATE TABLE traffic (
        name TEXT PRIMARY KEY NOT NULL,
        version INTEGER NOT NULL,
        mode TEXT NOT NULL,
        share REAL NOT NULL,
        split_by TEXT NOT NULL,
        since TEXT NOT NULL,
        checksum TEXT NOT NULL,
        FOREIGN KEY (name, version) REFERENCES version (name, version)
    )
    """,
    """
    CREATE TABLE observation (  -- what a challenger and the champion said meanwhile; added to without a new generation
        name TEXT NOT NULL,
        version INTEGER NOT NULL,  -- of the challenger
        beside INTEGER NOT NULL,  -- of the champion
        mode TEXT NOT NULL,
        counts TEXT NOT NULL,  -- JSON
        checksum TEXT NOT NULL,
        PRIMARY KEY (name, version, beside, mode)
    )
    """,
    """
    CREATE TABLE suite (
        name TEXT PRIMARY KEY NOT NULL,
        digest TEXT NOT NULL,  -- of the blob with its rows
        rows INTEGER NOT NULL,
        source TEXT NOT NULL,
        added_at TEXT NOT NULL,
        checksum TEXT NOT NULL
    )
    """,
)


MIGRATIONS: tuple[Migration, ...] = (
    _first_tables,
    _routing,
    _members,
    _moments,
    _packed_results,
    _releases,
)  # append only; from number 1
SCHEMA_VERSION = len(MIGRATIONS)

# The tables whose rows carry a checksum.
_RELEASES = ("lineage", "verdict", "ready", "traffic", "observation", "suite")
STATE_TABLES = (
    *("portfolio", "task", "version", "member", "alias", "result", "router", "retired", "event", "moment"),
    *_RELEASES,
)


def migrate(db: sqlite3.Connection, now: str, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Run the migrations that `db` has not had, in the caller's transaction, and record each."""
    db.execute(
        "CREATE TABLE IF NOT EXISTS migration "
        "(number INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at TEXT NOT NULL)"
    )
    for number, migration in enumerate(migrations, start=1):
        if number > schema_version(db):
            migration(db)
            db.execute(
                "INSERT INTO migration (number, name, applied_at) VALUES (?, ?, ?)",
                (number, migration.__name__.lstrip("_"), now),
            )


def definitions(db: sqlite3.Connection) -> set[tuple[str, ...]]:
    """Type, name and text of every table, index and trigger."""
    return {tuple(map(str, row)) for row in db.execute("SELECT type, name, sql FROM sqlite_master")}


def expected_definitions(version: int) -> set[tuple[str, ...]]:
    """What `definitions` gives for a sound portfolio of this schema version."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        migrate(db, "", MIGRATIONS[:version])
        return definitions(db)


def schema_version(db: sqlite3.Connection) -> int:
    """The number of the last migration that ran; 0 for a database that had none."""
    if db.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'migration'").fetchone() is None:
        return 0
    return int(db.execute("SELECT COALESCE(MAX(number), 0) FROM migration").fetchone()[0])


def knows_members(db: sqlite3.Connection) -> bool:
    """Whether the table `member` must be there; a portfolio of an older schema has none."""
    return schema_version(db) > MIGRATIONS.index(_members)


def knows_moments(db: sqlite3.Connection) -> bool:
    """Whether the table `moment` must be there; likewise."""
    return schema_version(db) > MIGRATIONS.index(_moments)


def knows_results(db: sqlite3.Connection) -> bool:
    """Whether the table `result` must be there; before it each cell was a row of the table `cell`."""
    return schema_version(db) > MIGRATIONS.index(_packed_results)


def knows_releases(db: sqlite3.Connection) -> bool:
    """Whether the tables of releases must be there; before, all versions of a task were learned from the same."""
    return schema_version(db) > MIGRATIONS.index(_releases)


def state_tables(db: sqlite3.Connection) -> tuple[str, ...]:
    """The tables whose rows carry a checksum, as far as this portfolio must have them."""
    later = {"member": knows_members(db), "moment": knows_moments(db), **dict.fromkeys(_RELEASES, knows_releases(db))}
    before = {} if knows_results(db) else {"result": "cell"}
    return tuple(before.get(table, table) for table in STATE_TABLES if later.get(table, True))


def require_known_schema(db: sqlite3.Connection, path: Path) -> int:
    """The schema version of the database at `path`, if this package can use it.

    Raises:
        SchemaTooNew: a later version of this package wrote it.
        StoreError: it is no portfolio's database.
    """
    version = schema_version(db)
    if version > SCHEMA_VERSION:
        raise SchemaTooNew(
            f"{path} has schema version {version}, but this version of the package knows schemas up to "
            f"{SCHEMA_VERSION}; install the later one that wrote it: pip install --upgrade adapter-portfolio"
        )
    if version < 1:
        raise StoreError(
            f"{path} is not a portfolio's database: it is empty or another program's (expected a table 'migration' "
            "with at least one row); restore it from a copy of the portfolio"
        )
    return version
