"""A portfolio of an older schema, as a version of this package made it that knew no later, works with today's."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from portfolio.errors import Conflict, StoreError, Unwritable
from portfolio.records import Cell, Results, RouterState, RouterWishes
from portfolio.store.blobs import Blobs
from portfolio.store.changes import GenerationMoved
from portfolio.store.database import Database
from portfolio.store.rows import insert
from portfolio.store.schema import MIGRATIONS, SCHEMA_VERSION, migrate, schema_version
from portfolio.store.store import Store

Seal = Callable[[Callable[[Path], object]], Path]

CONTRACT = (
    '{"blocks":2,"feature_blocks":[1,2],"fingerprint":"ff","hidden_size":8,"max_tokens":16,"model_type":"bert",'
    '"name":"tiny","pooling":"mean","revision":null,"trunk":1}'
)
TOTALS = b"sums of one task"
SCORES = {"oracle": 1.0, "routed": 0.5, "routing": 0.75, "coverage": 0.875, "selective": 0.625, "floor": 0.25}


def first_rows(blobs: Blobs, synthetic: ModuleType) -> dict[str, dict[str, Any]]:
    """One row for each table, with the columns of the first schema, written out."""
    task, adapter = synthetic.task_record(blobs, "first"), synthetic.adapter_record(blobs, "first")
    return {
        "portfolio": {"one": 1, "generation": 1, "contract": CONTRACT, "created_at": "monday"},
        "task": {
            "name": "first",
            "position": 1,
            "kind": task.kind,
            "labels": json.dumps(task.labels),
            "has_pairs": 0,
            "columns": '["text", null, "label"]',
            "sources": '[{"split": "train", "path": "/data/first.jsonl", "sha256": "00", "rows": 7}]',
            "seed": 3,
            "reading": "{}",
            "centroids": task.centroids,
            "scatter": task.scatter,
            "evaluation": task.evaluation,
            "notes": "[]",
            "added_at": "tuesday",
        },
        "version": {
            "name": "first",
            "version": 1,
            "task": "first",
            "digest": adapter.digest,
            "method": "bottleneck",
            "config": "{}",
            "training": "{}",
            "parameters": 100,
            "bytes": 400,
            "seconds": 1.5,
            "epochs": 2,
            "seed": 3,
            "validation_score": 0.75,
            "notes": "[]",
            "created_at": "tuesday",
        },
        "alias": {"name": "first", "alias": "champion", "version": 1},
        "cell": {"step": "first", "task": "first", "rows": 9, **SCORES, "baseline": None},
        "router": {
            "one": 1,
            "totals": blobs.put(TOTALS),
            "threshold": -1.5,
            "temperature": 2.0,
            "shrinkage": 0.25,
            "coverage": 0.75,
        },
        "event": {"number": 1, "at": "monday", "action": "init", "subject": "tiny", "detail": "{}"},
    }


def second_rows(blobs: Blobs, synthetic: ModuleType) -> dict[str, dict[str, Any]]:
    """The same with the columns that the second schema added."""
    rows = first_rows(blobs, synthetic)
    rows["task"]["tags"] = '{"kind": "faq"}'
    rows["cell"]["astray_right"] = 0.125
    rows["router"]["more"] = '{"own_share": 0.5, "wishes": {"coverage": 0.75, "recall": 0.25}}'
    return rows


def checksum(row: dict[str, Any]) -> str:
    filled = {column: value for column, value in row.items() if value is not None}
    return hashlib.sha256(json.dumps(filled, sort_keys=True).encode()).hexdigest()[:16]


def make(root: Path, synthetic: ModuleType, schema: int) -> None:
    """A portfolio with one task, made by the first migrations alone."""
    rows = first_rows if schema == 1 else second_rows  # the later ones added nothing to these
    (root / "blobs").mkdir(parents=True)
    (root / "base.json").write_text(CONTRACT)
    database = Database(root / "portfolio.db")
    database.make()
    with database.writing() as db:
        migrate(db, "monday", MIGRATIONS[:schema])
        for table, row in rows(Blobs(root / "blobs"), synthetic).items():
            values = {**row, "checksum": checksum(row)}
            places = ", ".join("?" for _ in values)
            db.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({places})", tuple(values.values()))


def schema_of(store: Store) -> int:
    with Database(store.path / "portfolio.db").reading() as db:
        return schema_version(db)


@pytest.fixture(params=[1, 2, 3, 4])
def schema(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def older(tmp_path: Path, synthetic: ModuleType, schema: int) -> Store:
    make(tmp_path / "older", synthetic, schema)
    return Store.open(tmp_path / "older")


def require_read_whole(store: Store, schema: int) -> None:
    snapshot = store.snapshot()
    [task] = snapshot.tasks
    assert (task.name, task.tags, task.added_at) == ("first", (("kind", "faq"),) if schema >= 2 else (), "tuesday")
    [adapter] = snapshot.adapters
    assert (str(adapter.ref), adapter.digest, adapter.created_at) == (
        "first@1",
        hashlib.sha256(store.get(adapter.digest)).hexdigest(),
        "tuesday",
    )
    assert (adapter.members, adapter.comparison, adapter.attention) == ((), (), None)
    astray_right = 0.125 if schema >= 2 else None
    assert snapshot.cells == (Cell(step="first", task="first", rows=9, **SCORES, astray_right=astray_right),)
    assert snapshot.router == RouterState(
        totals=hashlib.sha256(TOTALS).hexdigest(),
        threshold=-1.5,
        temperature=2.0,
        shrinkage=0.25,
        wishes=RouterWishes(coverage=0.75, recall=0.25 if schema >= 2 else None),
        own_share=0.5 if schema >= 2 else 0.0,
    )
    assert store.get(snapshot.router.totals) == TOTALS
    assert store.verify() == ()


def test_it_is_read_whole_and_left_as_it_is(older: Store, schema: int) -> None:
    require_read_whole(older, schema)
    assert schema_of(older) == schema


def test_a_lost_copy_of_the_contract_is_written_again_as_it_was(older: Store, schema: int) -> None:
    (older.path / "base.json").unlink()
    require_read_whole(Store.open(older.path), schema)
    assert (older.path / "base.json").read_text() == CONTRACT


def test_it_is_read_where_it_cannot_be_written(seal: Seal, synthetic: ModuleType, schema: int) -> None:
    store = Store.open(seal(lambda path: make(path, synthetic, schema)))
    require_read_whole(store, schema)
    with pytest.raises(Unwritable, match="cannot be written"):
        store.commit_tags(expected_generation=1, name="first", tags={"tenant": "acme"})
    require_read_whole(store, schema)
    assert sorted(os.listdir(store.path)) == ["base.json", "blobs", "portfolio.db"]


def test_the_first_change_brings_it_to_the_newest_schema_and_keeps_it_as_it_was(older: Store, schema: int) -> None:
    before = older.snapshot()
    older.commit_tags(expected_generation=1, name="first", tags={"tenant": "acme"})
    assert schema_of(older) == SCHEMA_VERSION
    after = older.snapshot()
    assert after.tasks[0].tags == (("tenant", "acme"),)
    assert (after.cells, after.router, after.adapters) == (before.cells, before.router, before.adapters)
    assert older.releases.lineage(before.adapters[0].ref).labels == before.tasks[0].labels
    assert sorted(os.listdir(older.path)) == ["base.json", "blobs", "portfolio.db", f"portfolio.db.schema-{schema}"]
    assert older.verify() == ()


def test_its_results_were_a_row_a_cell_and_stay_the_same_when_they_are_packed(
    older: Store, synthetic: ModuleType
) -> None:
    """Steps and tasks that are not in the order of their names, and cells that are missing."""
    blobs = Blobs(older.path / "blobs")
    cells = [("b", "first", None, 7), ("b", "b", 0.25, 3), ("a", "a", 1.0, 2), ("a", "first", 0.125, 7)]
    with Database(older.path / "portfolio.db").writing() as db:
        for position, name in ((2, "b"), (5, "a")):
            task = {**first_rows(blobs, synthetic)["task"], "name": name, "position": position}
            insert(db, "task", task)
        for step, task, oracle, rows in cells:
            insert(db, "cell", {"step": step, "task": task, "rows": rows, "oracle": oracle})
    before = older.snapshot()
    assert [(cell.step, cell.task, cell.oracle, cell.rows) for cell in before.cells[1:]] == [
        ("b", "first", None, 7),
        ("b", "b", 0.25, 3),
        ("a", "first", 0.125, 7),
        ("a", "a", 1.0, 2),
    ]
    assert list(older.snapshot(history=False).cells) == list(before.cells)[3:]
    older.commit_tags(expected_generation=1, name="first", tags={"tenant": "acme"})
    assert older.snapshot().cells == before.cells
    assert older.snapshot(history=False).cells == before.cells[3:]


def test_a_refused_change_leaves_it_as_it_is(older: Store, schema: int) -> None:
    with pytest.raises(GenerationMoved):
        older.commit_results(expected_generation=7, results=Results())
    require_read_whole(older, schema)
    assert schema_of(older) == schema


def test_a_store_that_was_open_goes_on_when_another_changes_the_schema(older: Store, synthetic: ModuleType) -> None:
    another = Store.open(older.path)
    older.commit_results(expected_generation=1, results=Results())
    another.commit_tags(expected_generation=2, name="first", tags={"risk": "high"})
    assert another.snapshot() == older.snapshot()
    with Database(older.path / "portfolio.db").reading() as db:
        assert [number for (number,) in db.execute("SELECT number FROM migration")] == list(
            range(1, SCHEMA_VERSION + 1)
        )


def test_tasks_come_and_go_as_in_a_new_one(older: Store, synthetic: ModuleType) -> None:
    synthetic.add_task(older, "second")
    synthetic.add_task(older, "third")
    synthetic.remove_task(older, "first")
    snapshot = older.snapshot()
    assert [task.name for task in snapshot.tasks] == ["second", "third"]
    assert older.verify() == ()


def test_a_fusion_of_what_it_had_is_added_as_in_a_new_one(older: Store, synthetic: ModuleType) -> None:
    member = synthetic.newest(older, "first")
    synthetic.add_fusion(older, "fusion", [member])
    assert older.snapshot().adapters[-1].members[0] == member
    assert schema_of(older) == SCHEMA_VERSION
    with pytest.raises(Conflict, match="fusion@2 is made of first@1"):
        synthetic.remove_task(older, "first")
    assert synthetic.damage_found(older) == []


@pytest.mark.parametrize("statement", ["DROP TRIGGER event_is_not_deleted", "ALTER TABLE event ADD COLUMN colour TEXT"])
def test_tables_that_are_not_those_of_its_schema_are_damage(older: Store, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(older.path / "portfolio.db")) as db:
        db.execute(statement)
    assert [(fault.kind, fault.is_damage) for fault in older.verify()] == [("database", True)]


def test_a_newer_one_whose_record_of_migrations_is_gone_is_damage(two_tasks: Store) -> None:
    with contextlib.closing(sqlite3.connect(two_tasks.path / "portfolio.db", isolation_level=None)) as db:
        db.execute("DELETE FROM migration WHERE number >= 2")
    assert [(fault.kind, fault.is_damage) for fault in two_tasks.verify()] == [("database", True)]
    with pytest.raises(StoreError, match="duplicate column"):
        two_tasks.commit_results(expected_generation=2, results=Results())
