"""What a change leaves behind is kept for a while, then deleted; what is needed never is."""

from __future__ import annotations

import dataclasses
import os
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import ModuleType

import pytest

from portfolio.errors import DamagedBlob
from portfolio.records import Results
from portfolio.store.changes import GenerationMoved
from portfolio.store.database import Database
from portfolio.store.references import KEPT_CHANGES, KEPT_S
from portfolio.store.store import Store


def stored(store: Store) -> set[str]:
    """The digests of all blobs on disk."""
    return {path.parent.name + path.name for path in (store.path / "blobs").glob("*/*")}


def needed(store: Store) -> set[str]:
    snapshot = store.snapshot()
    digests = {digest for task in snapshot.tasks for digest in (task.centroids, task.scatter, task.evaluation)}
    digests |= {adapter.digest for adapter in snapshot.adapters}
    return digests if snapshot.router is None else {*digests, snapshot.router.totals}


def grow(store: Store, synthetic: ModuleType, prefix: str = "more") -> None:
    """As many changes as something left behind is kept for."""
    for number in range(KEPT_CHANGES):
        synthetic.add_task(store, f"{prefix}{number}")


def test_old_sums_of_the_router_are_deleted_some_changes_later(store: Store, synthetic: ModuleType) -> None:
    for name in ("first", "second"):
        synthetic.add_task(store, name)
    grow(store, synthetic)
    grow(store, synthetic, "again")
    assert needed(store) < stored(store)
    assert len(stored(store) - needed(store)) == KEPT_CHANGES
    assert store.verify() == ()


def test_the_blobs_of_a_removed_task_can_be_read_for_some_changes_only(store: Store, synthetic: ModuleType) -> None:
    synthetic.add_task(store, "first")
    synthetic.add_task(store, "second")
    digest = store.snapshot().adapters[0].digest
    synthetic.remove_task(store, "first")
    assert store.get(digest) == synthetic.content("first", "adapter")
    grow(store, synthetic)
    with pytest.raises(GenerationMoved, match="read a new snapshot"):
        store.get(digest)
    assert store.verify() == ()


def test_a_blob_of_the_past_that_is_gone_is_no_damage_before_its_deletion_is_on_record(
    store: Store, synthetic: ModuleType
) -> None:
    """Another process deletes it and has not committed yet, or was killed before it could."""
    synthetic.add_task(store, "first")
    synthetic.add_task(store, "second")
    digest = store.snapshot().adapters[0].digest
    synthetic.remove_task(store, "first")
    (store.path / "blobs" / digest[:2] / digest[2:]).unlink()
    with pytest.raises(GenerationMoved, match="read a new snapshot"):
        store.get(digest)
    assert store.verify() == ()


def test_a_blob_that_is_put_again_while_it_is_looked_for_is_found(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = store.put(b"bytes")
    path = store.path / "blobs" / digest[:2] / digest[2:]
    path.unlink()
    original = Database.reading

    def reading(database: Database) -> object:
        store.put(b"bytes")
        return original(database)

    monkeypatch.setattr(Database, "reading", reading)
    assert store.get(digest) == b"bytes"


def test_a_task_that_came_back_keeps_its_blobs(store: Store, synthetic: ModuleType) -> None:
    synthetic.add_task(store, "second")
    synthetic.add_task(store, "first")
    synthetic.remove_task(store, "first")
    synthetic.add_task(store, "first")
    grow(store, synthetic)
    assert "first" in synthetic.whole_tasks(store)
    assert store.verify() == ()


def test_a_deleted_blob_that_is_needed_again_is_damage_when_it_is_lost(store: Store, synthetic: ModuleType) -> None:
    synthetic.add_task(store, "second")
    synthetic.add_task(store, "first")
    synthetic.remove_task(store, "first")
    grow(store, synthetic)
    synthetic.add_task(store, "first")
    digest = store.snapshot().adapters[-1].digest
    (store.path / "blobs" / digest[:2] / digest[2:]).unlink()
    with pytest.raises(DamagedBlob):
        store.get(digest)


def test_what_was_put_a_moment_ago_is_not_deleted(tmp_path: Path, synthetic: ModuleType) -> None:
    """Somebody may be about to commit what refers to it."""
    clock = [datetime.now(timezone.utc)]
    store = Store.create(tmp_path / "portfolio", synthetic.CONTRACT, clock=lambda: clock[0])
    synthetic.add_task(store, "first")
    synthetic.add_task(store, "second")
    digest = store.snapshot().adapters[0].digest
    synthetic.remove_task(store, "first")
    grow(store, synthetic)
    assert digest in stored(store)
    clock[0] += timedelta(seconds=KEPT_S + 60)
    path = store.path / "blobs" / digest[:2] / digest[2:]
    os.utime(path, (clock[0].timestamp(), clock[0].timestamp()))  # put again, a long time after the first
    synthetic.add_task(store, "more")
    assert digest in stored(store)
    clock[0] += timedelta(seconds=KEPT_S + 60)
    synthetic.add_task(store, "still-more")
    assert digest not in stored(store)


def test_putting_bytes_that_are_there_counts_as_putting_them_now(store: Store) -> None:
    digest = store.put(b"bytes")
    path = store.path / "blobs" / digest[:2] / digest[2:]
    os.utime(path, (1000, 1000))
    store.put(b"bytes")
    assert path.stat().st_mtime > 1000


def test_bytes_that_two_tasks_share_outlive_one_of_them(store: Store, synthetic: ModuleType) -> None:
    synthetic.add_task(store, "first")
    shared = store.snapshot().tasks[0].scatter
    store.commit_task(
        expected_generation=1,
        task=synthetic.task_record(store, "second", scatter=shared),
        adapters=[synthetic.adapter_record(store, "second")],
        router=synthetic.router_state(store, ("first", "second")),
        results=Results(),
    )
    synthetic.remove_task(store, "first")
    grow(store, synthetic)
    assert shared in stored(store)


def test_new_thresholds_over_the_same_sums_leave_nothing_behind(store: Store, synthetic: ModuleType) -> None:
    totals = store.put(b"the same sums")
    for name in ("first", "second"):
        router = dataclasses.replace(synthetic.router_state(store, (name,)), totals=totals, threshold=float(len(name)))
        store.commit_task(
            expected_generation=store.generation(),
            task=synthetic.task_record(store, name),
            adapters=[synthetic.adapter_record(store, name)],
            router=router,
            results=Results(),
        )
    for number in range(KEPT_CHANGES):
        store.commit_results(expected_generation=2 + number, results=Results())
    assert store.get(totals) == b"the same sums"
