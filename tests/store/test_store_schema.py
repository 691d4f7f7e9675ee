from __future__ import annotations

import sqlite3
from pathlib import Path
from types import ModuleType

import pytest

from portfolio.errors import SchemaTooNew, StoreError
from portfolio.store.database import Database
from portfolio.store.schema import (
    MIGRATIONS,
    SCHEMA_VERSION,
    STATE_TABLES,
    migrate,
    require_known_schema,
    schema_version,
)
from portfolio.store.store import Store


def make_table(db: sqlite3.Connection) -> None:
    db.execute("CREATE TABLE thing (name TEXT)")


def fill_table(db: sqlite3.Connection) -> None:
    db.execute("INSERT INTO thing VALUES ('one')")


def fail(db: sqlite3.Connection) -> None:
    db.execute("INSERT INTO thing VALUES ('two')")
    raise ArithmeticError("half way")


@pytest.fixture
def database(tmp_path: Path) -> Database:
    database = Database(tmp_path / "things.db")
    database.make()
    return database


def things(database: Database) -> list[str]:
    with database.reading() as db:
        return [name for (name,) in db.execute("SELECT name FROM thing")]


def test_each_migration_runs_once_and_is_recorded(database: Database) -> None:
    with database.writing() as db:
        migrate(db, "monday", [make_table])
    for _ in range(2):
        with database.writing() as db:
            migrate(db, "tuesday", [make_table, fill_table])
    assert things(database) == ["one"]
    with database.reading() as db:
        assert [tuple(row) for row in db.execute("SELECT * FROM migration")] == [
            (1, "make_table", "monday"),
            (2, "fill_table", "tuesday"),
        ]


def test_a_migration_that_fails_leaves_the_schema_before(database: Database) -> None:
    with database.writing() as db:
        migrate(db, "monday", [make_table])
    with pytest.raises(ArithmeticError), database.writing() as db:
        migrate(db, "tuesday", [make_table, fill_table, fail])
    assert things(database) == []
    with database.reading() as db:
        assert schema_version(db) == 1


def test_a_new_portfolio_has_the_newest_schema(store: Store) -> None:
    with Database(store.path / "portfolio.db").reading() as db:
        assert schema_version(db) == SCHEMA_VERSION == len(MIGRATIONS)


def test_every_table_but_the_record_of_migrations_is_covered_by_checksums(store: Store) -> None:
    with Database(store.path / "portfolio.db").reading() as db:
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert tables == {*STATE_TABLES, "migration"}


def record_a_later_schema(store: Store) -> None:
    with Database(store.path / "portfolio.db").writing() as db:
        db.execute("INSERT INTO migration VALUES (99, 'from_the_future', 'later')")


def test_a_later_schema_is_refused_with_both_versions(store: Store) -> None:
    record_a_later_schema(store)
    with pytest.raises(SchemaTooNew, match=rf"version 99, .* up to {SCHEMA_VERSION}; .*upgrade"):
        Store.open(store.path)


def test_a_store_opened_before_a_later_version_migrated_it_changes_nothing(store: Store, synthetic: ModuleType) -> None:
    record_a_later_schema(store)
    with pytest.raises(SchemaTooNew):
        synthetic.add_task(store, "first")
    assert store.generation() == 0


def test_a_database_of_another_program_is_no_portfolio(database: Database) -> None:
    with database.writing() as db:
        make_table(db)
    with database.reading() as db, pytest.raises(StoreError, match=r"things\.db is not a portfolio's database"):
        require_known_schema(db, database.path)


@pytest.mark.parametrize("change", ["UPDATE event SET subject = 'other'", "DELETE FROM event"])
def test_events_cannot_be_changed(store: Store, change: str) -> None:
    with pytest.raises(StoreError, match="only ever appended"), Database(store.path / "portfolio.db").writing() as db:
        db.execute(change)
    assert [event.action for event in store.events()] == ["init"]
