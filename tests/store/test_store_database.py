from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from portfolio.errors import Conflict, StoreError, Unwritable
from portfolio.store import database as database_module
from portfolio.store.database import Database


@pytest.fixture(scope="module", autouse=True)
def quick_disk() -> None:
    """Here everything is as it is for users."""


@pytest.fixture
def database(tmp_path: Path) -> Database:
    """A table `number` with the row 1."""
    database = Database(tmp_path / "numbers.db")
    database.make()
    with database.writing() as db:
        db.execute("CREATE TABLE number (value INTEGER NOT NULL UNIQUE)")
        db.execute("INSERT INTO number VALUES (1)")
    return database


def values(database: Database) -> list[int]:
    with database.reading() as db:
        return [value for (value,) in db.execute("SELECT value FROM number ORDER BY value")]


def test_a_transaction_that_ends_well_is_kept(database: Database) -> None:
    with database.writing() as db:
        db.execute("INSERT INTO number VALUES (2)")
    assert values(database) == [1, 2]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_transaction_that_is_broken_off_never_happened(database: Database, error: type[BaseException]) -> None:
    with pytest.raises(error), database.writing() as db:
        db.execute("INSERT INTO number VALUES (2)")
        raise error
    assert values(database) == [1]


def test_a_reader_sees_one_state_though_a_writer_commits_meanwhile(database: Database) -> None:
    with database.reading() as reader:
        before = reader.execute("SELECT COUNT(*) FROM number").fetchone()[0]
        with database.writing() as writer:
            writer.execute("INSERT INTO number VALUES (2)")
        assert reader.execute("SELECT COUNT(*) FROM number").fetchone()[0] == before == 1
    assert values(database) == [1, 2]


def test_who_waits_too_long_for_the_write_lock_is_told_so(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    with database.writing():
        monkeypatch.setattr(database_module, "BUSY_TIMEOUT_S", 0.0)
        with pytest.raises(Conflict, match="another process is writing"), database.writing():
            pass


def test_a_database_that_may_not_grow_is_unwritable(database: Database) -> None:
    with pytest.raises(Unwritable, match="database or disk is full"), database.writing() as db:
        db.execute("PRAGMA max_page_count = 2")
        db.executemany("INSERT INTO number VALUES (?)", [(value,) for value in range(2, 5000)])
    assert values(database) == [1]


def test_a_broken_rule_is_an_error_of_the_store(database: Database) -> None:
    with pytest.raises(StoreError, match=r"UNIQUE constraint failed.*nothing was changed"), database.writing() as db:
        db.execute("INSERT INTO number VALUES (2)")
        db.execute("INSERT INTO number VALUES (1)")
    assert values(database) == [1]


def test_reading_and_writing_never_make_a_database(tmp_path: Path) -> None:
    database = Database(tmp_path / "none.db")
    with pytest.raises(StoreError), database.reading():
        pass
    with pytest.raises(StoreError), database.writing():
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_commit_is_synced_and_rules_between_tables_are_held(database: Database) -> None:
    with database.writing() as db:
        assert db.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL
        assert db.execute("PRAGMA foreign_keys").fetchone()[0] == 1
        assert db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


def test_a_log_that_a_killed_writer_left_is_read(database: Database, tmp_path: Path) -> None:
    """The state is copied while a connection is open, as a kill would leave it."""
    held = sqlite3.connect(database.path)
    held.execute("BEGIN")
    held.execute("SELECT * FROM number").fetchall()
    with database.writing() as db:
        db.execute("INSERT INTO number VALUES (2)")
    copy = tmp_path / "copy"
    copy.mkdir()
    for suffix in ("", "-wal"):
        source = database.path.with_name(database.path.name + suffix)
        (copy / source.name).write_bytes(source.read_bytes())
    held.close()
    assert (copy / "numbers.db-wal").stat().st_size > 0
    assert values(Database(copy / "numbers.db")) == [1, 2]
