"""Before the first change brings an older portfolio to today's schema, its database is kept as it was."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from portfolio.errors import SchemaTooNew, Unwritable
from portfolio.records import Alias, Results, Snapshot
from portfolio.refs import Ref
from portfolio.store import changes
from portfolio.store.changes import GenerationMoved
from portfolio.store.database import Database
from portfolio.store.schema import SCHEMA_VERSION, schema_version
from portfolio.store.store import Store

Downgrade = Callable[[Path], None]


class Killed(BaseException):
    """A process that ends here."""


@pytest.fixture
def older(fused: Store, downgrade: Downgrade) -> Store:
    """`first`, `second` and `fusion`, of which there are two versions, before there were releases."""
    downgrade(fused.path)
    return fused


def change(store: Store) -> None:
    store.commit_tags(expected_generation=store.generation(), name="first", tags={"tenant": "acme"})


def copies(store: Store) -> list[str]:
    return sorted(name for name in os.listdir(store.path) if name not in ("base.json", "blobs", "portfolio.db"))


def schema_of(path: Path) -> int:
    with Database(path).reading() as db:
        return schema_version(db)


def as_it_was(store: Store, copy: str, directory: Path) -> Snapshot:
    """What is read when the copy gets the name of the database again."""
    directory.mkdir()
    (directory / "portfolio.db").write_bytes((store.path / copy).read_bytes())
    (directory / "base.json").write_bytes((store.path / "base.json").read_bytes())
    (directory / "blobs").symlink_to(store.path / "blobs")
    found = Store.open(directory)
    assert found.verify() == ()
    return found.snapshot()


def test_the_copy_holds_what_was_before_the_first_change_and_is_no_damage(older: Store, tmp_path: Path) -> None:
    before, events = older.snapshot(), older.events()
    assert copies(older) == []  # reading alone migrates nothing
    change(older)
    assert (schema_of(older.path / "portfolio.db"), copies(older)) == (SCHEMA_VERSION, ["portfolio.db.schema-5"])
    assert older.verify() == ()
    assert schema_of(older.path / "portfolio.db.schema-5") == 5
    assert as_it_was(older, "portfolio.db.schema-5", tmp_path / "earlier") == before
    assert older.events()[:-1] == events


def test_later_changes_keep_no_further_copy(older: Store) -> None:
    for _ in range(2):
        change(older)
    assert copies(older) == ["portfolio.db.schema-5"]


def test_every_version_gets_the_lineage_of_its_task_and_the_champion_stays(older: Store, synthetic: ModuleType) -> None:
    before = older.snapshot()
    change(older)
    after = older.snapshot()
    assert after.aliases == before.aliases
    assert Alias(name="fusion", alias="champion", version=2) in after.aliases
    assert (after.adapters, after.cells, after.router) == (before.adapters, before.cells, before.router)
    tasks = {task.name: task for task in after.tasks}
    for adapter in after.adapters:
        found, task = older.releases.lineage(adapter.ref), tasks[adapter.name]
        for field in (
            "labels",
            "has_pairs",
            "columns",
            "sources",
            "seed",
            "reading",
            "centroids",
            "scatter",
            "evaluation",
        ):
            assert getattr(found, field) == getattr(task, field)
        assert (found.base, found.code, found.parent) == (synthetic.CONTRACT.fingerprint, "", None)
    assert len(after.adapters) == 4
    assert older.verify() == ()  # the checksums among it


def test_lineages_can_be_read_before_the_migration_too(older: Store) -> None:
    before = {adapter.ref: older.releases.lineage(adapter.ref) for adapter in older.snapshot().adapters}
    change(older)
    for ref, lineage in before.items():
        assert older.releases.lineage(ref).centroids == lineage.centroids


def test_a_migrated_portfolio_promotes_and_rolls_back(older: Store, releases: ModuleType) -> None:
    """From the fusion to its own adapter and back."""
    start = older.snapshot()
    for ref, action in ((Ref("fusion", 1), "promote"), (Ref("fusion", 2), "rollback")):
        releases.promote(older, ref, {}, action)
        assert releases.champions(older.snapshot())["fusion"] == ref.version
        assert older.verify() == ()
    assert older.snapshot().tasks == start.tasks


def test_a_refused_change_may_leave_a_copy_which_the_next_one_uses(older: Store) -> None:
    for _ in range(2):
        with pytest.raises(GenerationMoved):
            older.commit_results(expected_generation=99, results=Results())
    assert (schema_of(older.path / "portfolio.db"), copies(older)) == (5, ["portfolio.db.schema-5"])
    change(older)
    assert copies(older) == ["portfolio.db.schema-5"]


def test_a_kill_between_the_copy_and_the_migration_leaves_the_old_state_and_the_next_change_goes_on(
    older: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise Killed

    before = older.snapshot()
    with monkeypatch.context() as patch:
        patch.setattr(changes, "migrate", die)
        with pytest.raises(Killed):
            change(older)
    assert (schema_of(older.path / "portfolio.db"), copies(older)) == (5, ["portfolio.db.schema-5"])
    assert (older.snapshot(), older.verify()) == (before, ())
    change(older)
    assert (schema_of(older.path / "portfolio.db"), copies(older)) == (SCHEMA_VERSION, ["portfolio.db.schema-5"])
    assert older.verify() == ()


def test_a_copy_of_another_state_is_never_written_over(older: Store) -> None:
    (older.path / "portfolio.db.schema-5").write_bytes(b"of an earlier attempt")
    change(older)
    assert copies(older) == ["portfolio.db.schema-5", "portfolio.db.schema-5.2"]
    assert (older.path / "portfolio.db.schema-5").read_bytes() == b"of an earlier attempt"
    assert schema_of(older.path / "portfolio.db.schema-5.2") == 5
    assert older.verify() == ()


def test_where_the_copy_cannot_be_written_there_is_no_migration(older: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = older.snapshot()
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(Unwritable, match=r"schema 5 is kept .*No space left.*free some space"):
            change(older)
    assert (schema_of(older.path / "portfolio.db"), copies(older)) == (5, [])
    assert (older.snapshot(), older.verify()) == (before, ())
    change(older)
    assert copies(older) == ["portfolio.db.schema-5"]


def test_a_later_schema_is_refused_and_nothing_is_copied(older: Store) -> None:
    with contextlib.closing(sqlite3.connect(older.path / "portfolio.db", isolation_level=None)) as db:
        db.execute("INSERT INTO migration VALUES (99, 'from_the_future', 'later')")
    with pytest.raises(SchemaTooNew):
        change(older)
    assert copies(older) == []


def test_a_new_portfolio_has_no_copy(two_tasks: Store) -> None:
    assert copies(two_tasks) == []


def test_the_copy_is_consistent_while_the_last_changes_are_in_the_log(older: Store, tmp_path: Path) -> None:
    """As long as somebody reads, commits stay in the log beside the database, and a copy of the file alone lacks them."""
    with Database(older.path / "portfolio.db").reading() as held:
        held.execute("SELECT * FROM task").fetchall()
        with Database(older.path / "portfolio.db").writing() as db:
            db.execute("DELETE FROM alias WHERE alias = 'none of it'")
            db.execute("CREATE INDEX of_theirs ON event (at)")
        assert (older.path / "portfolio.db-wal").stat().st_size > 0
        change(older)
    with Database(older.path / "portfolio.db.schema-5").reading() as db:
        assert db.execute("SELECT 1 FROM sqlite_master WHERE name = 'of_theirs'").fetchone() is not None
