"""Every damage is found; what is only left over is told apart from it."""

from __future__ import annotations

import contextlib
import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from portfolio.errors import StoreError
from portfolio.refs import Ref
from portfolio.store import release_rows
from portfolio.store.checksums import checksum
from portfolio.store.database import Database
from portfolio.store.store import Store


def blob_path(store: Store, digest: str) -> Path:
    return store.path / "blobs" / digest[:2] / digest[2:]


def change_database(store: Store, *statements: str) -> None:
    """Change rows behind the store's back."""
    db = sqlite3.connect(store.path / "portfolio.db", isolation_level=None)
    for statement in statements:
        assert db.execute(statement).rowcount != 0, "the test must change something"
    db.close()


def test_a_sound_portfolio_has_no_fault(two_tasks: Store) -> None:
    assert two_tasks.verify() == ()


# Blobs


@pytest.mark.parametrize(
    "harm",
    [
        pytest.param(lambda path: path.write_bytes(path.read_bytes()[:-1]), id="truncated"),
        pytest.param(lambda path: path.write_bytes(b""), id="emptied"),
        pytest.param(
            lambda path: path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:]), id="bit"
        ),
    ],
)
def test_a_damaged_blob_is_found_and_what_it_is_is_said(two_tasks: Store, harm: Callable[[Path], object]) -> None:
    path = blob_path(two_tasks, two_tasks.snapshot().adapters[1].digest)
    harm(path)
    [fault] = two_tasks.verify()
    assert (fault.kind, fault.is_damage) == ("blob-damaged", True)
    assert fault.subject == str(path.relative_to(two_tasks.path))
    assert "It is: adapter second@1" in fault.message and "restore" in fault.message


@pytest.mark.parametrize("part", ["centroids", "scatter", "evaluation", "adapter", "totals"])
def test_a_missing_blob_is_found_whatever_it_is(two_tasks: Store, part: str) -> None:
    snapshot = two_tasks.snapshot()
    assert snapshot.router is not None
    digest, named = {
        "adapter": (snapshot.adapters[0].digest, "adapter first@1"),
        "totals": (snapshot.router.totals, "sums of the router"),
    }.get(part) or (getattr(snapshot.tasks[0], part), f"{part} of task first")
    blob_path(two_tasks, digest).unlink()
    [fault] = two_tasks.verify()
    assert (fault.kind, fault.is_damage) == ("blob-missing", True)
    assert f"It is: {named}" in fault.message


def test_all_damage_is_listed_not_only_the_first(two_tasks: Store) -> None:
    for adapter in two_tasks.snapshot().adapters:
        blob_path(two_tasks, adapter.digest).unlink()
    (two_tasks.path / "base.json").write_text("{}")
    assert sorted(fault.kind for fault in two_tasks.verify()) == ["base", "blob-missing", "blob-missing"]


def test_a_blob_that_nothing_needs_is_information_unless_it_is_damaged(two_tasks: Store) -> None:
    path = blob_path(two_tasks, two_tasks.put(b"nobody's"))
    [fault] = two_tasks.verify()
    assert (fault.kind, fault.is_damage) == ("orphan", False)
    path.write_bytes(b"harmed")
    [fault] = two_tasks.verify()
    assert (fault.kind, fault.is_damage) == ("blob-damaged", True)


def test_files_that_are_no_blobs_are_information(two_tasks: Store) -> None:
    (two_tasks.path / "blobs" / "notes.txt").write_text("mine")
    (two_tasks.path / "blobs" / ".tmp-0123").write_text("half")
    assert sorted((fault.kind, fault.is_damage) for fault in two_tasks.verify()) == [
        ("orphan", False),
        ("temporary", False),
    ]


# base.json


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", None])
def test_a_base_json_unlike_the_contract_is_damage(two_tasks: Store, content: bytes | None) -> None:
    path = two_tasks.path / "base.json"
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    [fault] = two_tasks.verify()
    assert (fault.kind, fault.is_damage) == ("base", True)
    path.unlink(missing_ok=True)  # what the message says
    assert Store.open(two_tasks.path).verify() == ()


# The database


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE portfolio SET generation = 7",
        "UPDATE task SET labels = '[\"x\"]' WHERE name = 'first'",
        "UPDATE task SET added_at = CAST(added_at AS BLOB) WHERE name = 'first'",
        "UPDATE version SET validation_score = 0.99",
        "UPDATE alias SET alias = 'other' WHERE name = 'second'",
        "UPDATE result SET scores = zeroblob(length(scores))",
        "UPDATE result SET rows = zeroblob(3)",
        "UPDATE router SET threshold = 0",
        "DELETE FROM router",
        "DELETE FROM portfolio",
        "DELETE FROM alias",
        "DELETE FROM version",
        "DELETE FROM task WHERE name = 'first'",
        "UPDATE version SET digest = 'no digest'",
    ],
)
def test_a_row_changed_behind_the_stores_back_is_damage(two_tasks: Store, statement: str) -> None:
    change_database(two_tasks, statement)
    faults = two_tasks.verify()
    assert any(fault.is_damage for fault in faults)
    assert all("restore" in fault.message or "remove it" in fault.message for fault in faults if fault.is_damage)


def test_a_version_without_a_lineage_is_damage(versioned: Store) -> None:
    change_database(versioned, "DELETE FROM lineage WHERE name = 'a' AND version = 3")
    [fault] = [fault for fault in versioned.verify() if fault.is_damage]
    assert (fault.kind, fault.subject) == ("incomplete", "a@3")


def test_a_task_that_says_something_else_than_its_champion_is_damage(versioned: Store) -> None:
    """As a row that was put back from an older copy would, though its checksum is right."""
    with Database(versioned.path / "portfolio.db").writing() as db:
        lineage = release_rows.read_lineage(db, Ref("a", 3))
        assert lineage is not None
        release_rows.write_task_of(db, lineage)  # but the champion is a@2
    [fault] = versioned.verify()
    assert (fault.kind, fault.subject, fault.is_damage) == ("incomplete", "a", True)
    assert "its champion a@2" in fault.message


def test_a_task_in_whose_place_nobody_can_answer_is_damage(versioned: Store) -> None:
    for instead, expected in (("b", 0), ("base", 0), ("none", 0), ("ghost", 1)):
        with Database(versioned.path / "portfolio.db").writing() as db:
            release_rows.set_disabled(db, "a", instead)
        faults = versioned.verify()
        assert len(faults) == expected
    assert "'ghost'" in faults[0].message


@pytest.mark.parametrize("table", ["alias", "traffic", "ready", "lineage"])
def test_a_row_that_names_a_version_which_is_not_there_is_damage(versioned: Store, table: str) -> None:
    """Each with the right checksum, so that nothing but the reference is wrong."""
    path = versioned.path / "portfolio.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:  # which holds no rules between tables
        db.row_factory = sqlite3.Row
        row = dict(db.execute(f"SELECT rowid, * FROM {table} WHERE name = 'a' ORDER BY version DESC").fetchone())
        changed = {**row, "version": 9}
        written = checksum({column: value for column, value in changed.items() if column != "rowid"})
        db.execute(f"UPDATE {table} SET version = 9, checksum = ? WHERE rowid = ?", (written, row["rowid"]))
    assert any(f"{table} row" in fault.message and "not there" in fault.message for fault in versioned.verify())


@pytest.mark.parametrize("name", [".tmp-0123", ".init-0123"])
def test_what_a_killed_process_left_beside_the_database_is_information(versioned: Store, name: str) -> None:
    (versioned.path / name).mkdir()
    [fault] = versioned.verify()
    assert (fault.kind, fault.subject, fault.is_damage) == ("temporary", name, False)
    assert "portfolio gc" in fault.message


@pytest.mark.parametrize(
    "statement", ["ALTER TABLE result RENAME COLUMN checksum TO chicksum", "DROP TRIGGER event_is_not_deleted"]
)
def test_tables_that_are_not_as_they_were_made_are_damage(two_tasks: Store, statement: str) -> None:
    change_database(two_tasks, statement)
    assert [(fault.kind, fault.is_damage) for fault in two_tasks.verify()] == [("database", True)]


def test_what_somebody_added_to_the_database_is_no_damage(two_tasks: Store) -> None:
    change_database(two_tasks, "CREATE INDEX of_theirs ON result (rows)", "ANALYZE")
    assert two_tasks.verify() == ()


def test_a_damaged_text_is_shown_with_the_row_it_is_in(two_tasks: Store) -> None:
    change_database(two_tasks, "UPDATE task SET labels = CAST(x'ff41' AS TEXT) WHERE name = 'first'")
    assert any("name='first'" in fault.message for fault in two_tasks.verify() if fault.kind == "row")
    with pytest.raises(StoreError, match=r"portfolio\.db is damaged"):
        two_tasks.snapshot()


@pytest.mark.parametrize("labels", ["{", "7", "null"])
def test_a_row_that_cannot_be_read_is_an_error_of_the_store(two_tasks: Store, labels: str) -> None:
    change_database(two_tasks, f"UPDATE task SET labels = '{labels}'")
    with pytest.raises(StoreError, match="table 'task' cannot be read"):
        two_tasks.snapshot()


def test_damage_anywhere_in_the_database_is_found_or_harmless(fused: Store, tmp_path: Path) -> None:
    """Bytes are changed one at a time: the file cannot be opened, or `verify` tells, or nothing that counts changed."""
    expected = (fused.snapshot(), fused.events())
    copy = tmp_path / "copy"
    shutil.copytree(fused.path, copy)
    database = copy / "portfolio.db"
    sound = database.read_bytes()
    chance = random.Random(3)
    used = [position for position, byte in enumerate(sound) if byte]  # most of the rest belongs to no row
    found = 0
    for position in chance.sample(used, 120):
        damaged = bytearray(sound)
        damaged[position] ^= chance.randrange(1, 256)
        database.write_bytes(damaged)
        try:
            store = Store.open(copy)
            is_damaged = any(fault.is_damage for fault in store.verify())
            if not is_damaged:
                assert (store.snapshot(), store.events()) == expected, f"byte {position} was changed unseen"
        except StoreError:
            is_damaged = True
        found += is_damaged
        for suffix in ("-wal", "-shm"):
            database.with_name(f"{database.name}{suffix}").unlink(missing_ok=True)
    assert found > 60


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_a_truncated_database_is_an_error_of_the_store_or_found(two_tasks: Store, share: float) -> None:
    path = two_tasks.path / "portfolio.db"
    sound = path.read_bytes()
    path.write_bytes(sound[: int(len(sound) * share)])
    try:
        faults = Store.open(two_tasks.path).verify()
    except StoreError as error:
        assert "portfolio.db" in str(error) and "restore" in str(error)
    else:
        assert any(fault.kind == "database" for fault in faults)


def test_blobs_are_checked_though_the_database_cannot_be_read(two_tasks: Store) -> None:
    blob_path(two_tasks, two_tasks.snapshot().adapters[0].digest).write_bytes(b"")
    (two_tasks.path / "portfolio.db").write_bytes(b"no database")
    assert [fault.kind for fault in two_tasks.verify()] == ["database", "blob-damaged"]


def test_verifying_changes_no_file(two_tasks: Store) -> None:
    files = [path for path in two_tasks.path.rglob("*") if path.is_file()]
    before = [(path.read_bytes(), path.stat().st_mtime_ns) for path in files]
    two_tasks.verify()
    assert [(path.read_bytes(), path.stat().st_mtime_ns) for path in files] == before
