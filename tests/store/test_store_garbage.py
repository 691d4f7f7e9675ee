"""`gc` deletes what nothing needs, and only that."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portfolio.errors import Conflict, NotFound, StoreError, Unwritable
from portfolio.refs import Ref
from portfolio.store.changes import GenerationMoved
from portfolio.store.references import KEPT_CHANGES, KEPT_S
from portfolio.store.store import Store

SAID = {"by": "ann", "why": "tidy"}


def later(store: Store, seconds: float) -> Store:
    """The same portfolio, so many seconds from now."""
    return Store.open(store.path, clock=lambda: datetime.now(timezone.utc) + timedelta(seconds=seconds))


def path_of(digest: str) -> str:
    return f"blobs/{digest[:2]}/{digest[2:]}"


def every_file(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def every_blob_can_be_read(store: Store) -> None:
    """Those of a snapshot and of all that is read apart from it."""
    snapshot = store.snapshot()
    for adapter in snapshot.adapters:
        lineage, ready = store.releases.lineage(adapter.ref), store.releases.ready(adapter.ref)
        for digest in (adapter.digest, lineage.centroids, lineage.scatter, lineage.evaluation):
            store.get(digest)
        if ready is not None:
            store.get(ready.router.totals)
            store.get(ready.outcomes)
    for task in snapshot.tasks:
        for digest in (task.centroids, task.scatter, task.evaluation):
            store.get(digest)
    for moment in snapshot.moments:
        store.get(moment.outcomes)
    for suite in store.releases.suites():
        store.get(suite.digest)
    for verdict in store.releases.verdicts():
        store.get(verdict.digest)
    if snapshot.router is not None:
        store.get(snapshot.router.totals)


# What goes


def test_a_blob_that_nothing_refers_to_goes_with_its_size_and_why(versioned: Store) -> None:
    digest = versioned.put(b"nobody's")
    [garbage] = versioned.gc(dry_run=False)
    assert (garbage.what, garbage.path, garbage.bytes, garbage.why) == (
        "blob",
        path_of(digest),
        8,
        "nothing refers to it",
    )
    assert versioned.verify() == ()
    assert versioned.gc(dry_run=False) == ()


def test_what_a_killed_process_left_goes(versioned: Store) -> None:
    root = versioned.path
    for name in (".tmp-1", "blobs/.tmp-2", "cache/.tmp-3", ".init-4/portfolio.db", ".init-4/.tmp-5"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(b"half")
    assert {fault.kind for fault in versioned.verify()} == {"temporary"}
    found = versioned.gc(dry_run=False)
    assert [(one.what, one.path) for one in found] == [
        ("temporary", ".tmp-1"),
        ("temporary", "blobs/.tmp-2"),
        ("temporary", "cache/.tmp-3"),
        ("unfinished", ".init-4"),
    ]
    assert not (root / ".init-4").exists()
    assert versioned.verify() == ()


def test_a_dry_run_says_the_same_and_changes_nothing(versioned: Store) -> None:
    versioned.put(b"nobody's")
    (versioned.path / ".tmp-1").write_bytes(b"half")
    (versioned.path / ".init-1").mkdir()
    before = every_file(versioned.path)
    found = versioned.gc(dry_run=True)
    assert len(found) == 3
    assert every_file(versioned.path) == before
    assert (versioned.path / ".init-1").is_dir()
    assert versioned.gc(dry_run=False) == found


def test_what_a_removed_task_left_goes_when_nothing_changed_for_a_while(tmp_path: Path, releases: ModuleType) -> None:
    store = Store.create(tmp_path / "portfolio", releases.CONTRACT)
    for name in ("a", "b"):
        releases.add_task(store, name)
    digest = store.snapshot().adapters[0].digest
    releases.remove_task(store, "a")
    assert store.gc(dry_run=False) == ()
    gone = {one.path for one in later(store, KEPT_S + 60).gc(dry_run=False)}
    assert path_of(digest) in gone
    with pytest.raises(GenerationMoved, match="read a new snapshot"):  # not damage, for who held an earlier snapshot
        store.get(digest)
    assert store.verify() == ()


def test_it_changes_neither_the_generation_nor_the_history(versioned: Store) -> None:
    versioned.put(b"nobody's")
    before = versioned.snapshot(), versioned.events()
    versioned.gc(dry_run=False)
    assert (versioned.snapshot(), versioned.events()) == before


# What stays


def test_whatever_a_row_refers_to_stays(versioned: Store, releases: ModuleType) -> None:
    """Lineages, what is ready, verdicts of versions that are gone too, suites and moments."""
    releases.judge(versioned, Ref("a", 1), SAID, "BLOCK")
    releases.remove_task(versioned, "b")
    before = every_file(versioned.path)
    assert versioned.gc(dry_run=False) == ()  # what went with `b` is kept for who reads an earlier snapshot
    assert every_file(versioned.path) == before
    every_blob_can_be_read(versioned)
    releases.remove_task(versioned, "a")
    for number in range(KEPT_CHANGES):
        releases.put_suite(versioned, "style", number + 6, SAID)
    assert versioned.gc(dry_run=False) == ()
    every_blob_can_be_read(versioned)
    assert len(versioned.releases.verdicts("a")) == 3
    assert versioned.verify() == ()


def test_what_was_put_or_written_a_moment_ago_stays(tmp_path: Path, releases: ModuleType) -> None:
    """Somebody may be about to refer to it, or be writing it."""
    store = Store.create(tmp_path / "portfolio", releases.CONTRACT)
    digest = store.put(b"about to be committed")
    (store.path / ".tmp-1").write_bytes(b"half")
    (store.path / ".init-1").mkdir()
    assert later(store, KEPT_S - 60).gc(dry_run=False) == ()
    os.utime(store.path / path_of(digest), (1000, 1000))
    store.put(b"about to be committed")
    assert later(store, KEPT_S - 60).gc(dry_run=False) == ()
    assert len(later(store, KEPT_S + 60).gc(dry_run=False)) == 3


def test_what_is_put_again_at_that_very_moment_stays(versioned: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other process has seen that the file is there, and touches it before it is taken away."""
    digest = versioned.put(b"nobody's yet")
    original, path = os.rename, versioned.path / path_of(digest)

    def touched_meanwhile(source: Path, target: Path) -> None:
        if source == path:
            os.utime(path, (4e9, 4e9))
        original(source, target)

    monkeypatch.setattr(os, "rename", touched_meanwhile)
    assert versioned.gc(dry_run=False) == ()
    assert versioned.get(digest) == b"nobody's yet"


def test_what_is_taken_away_while_it_is_put_again_is_written_anew(
    versioned: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = versioned.put(b"nobody's yet")
    original = os.utime

    def deleted_meanwhile(path: Path) -> None:
        monkeypatch.setattr(os, "utime", original)
        assert [one.path for one in versioned.gc(dry_run=False)] == [path_of(digest)]
        original(path)

    monkeypatch.setattr(os, "utime", deleted_meanwhile)
    assert versioned.put(b"nobody's yet") == digest
    assert versioned.get(digest) == b"nobody's yet"


def test_what_somebody_else_put_there_stays(versioned: Store) -> None:
    (versioned.path / "gates.toml").write_text("# mine")
    (versioned.path / "blobs" / "notes.txt").write_text("mine")
    (versioned.path / "portfolio.db.schema-5").write_bytes(b"kept")
    assert versioned.gc(dry_run=False) == ()


# What stands in its way


def test_in_a_damaged_database_nothing_counts_as_garbage(versioned: Store) -> None:
    """A row that lost the name of its blob would make that blob look like garbage."""
    digest = versioned.snapshot().adapters[0].digest
    db = sqlite3.connect(versioned.path / "portfolio.db", isolation_level=None)
    db.execute("UPDATE version SET digest = ? WHERE digest = ?", ("0" * 64, digest))
    db.close()
    for dry_run in (True, False):
        with pytest.raises(StoreError, match="nothing is deleted .* version row 1 .*restore"):
            versioned.gc(dry_run=dry_run)
    assert versioned.get(digest)


def test_a_file_that_cannot_be_deleted_is_said(versioned: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    versioned.put(b"nobody's")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", refuse)
        with pytest.raises(Unwritable, match="permissions"):
            versioned.gc(dry_run=False)
    assert [fault.kind for fault in versioned.verify()] == ["orphan"]


def test_a_portfolio_of_an_older_schema_is_tidied_as_it_is(fused: Store, downgrade: Callable[[Path], None]) -> None:
    downgrade(fused.path)
    digest = fused.put(b"nobody's")
    assert [one.path for one in fused.gc(dry_run=False)] == [path_of(digest)]
    assert fused.verify() == ()
    assert sorted(os.listdir(fused.path)) == ["base.json", "blobs", "portfolio.db"]


# Whatever happened before


CHANGES = st.tuples(
    st.sampled_from(
        ["add", "remove", "version", "judge", "promote", "rollback", "point", "suite", "try", "disable", "put", "gc"]
    ),
    st.sampled_from(["a", "b", "c"]),
    st.integers(1, 4),
)


@settings(max_examples=30, deadline=None)
@given(changes=st.lists(CHANGES, min_size=5, max_size=40))
def test_after_any_changes_it_leaves_all_that_is_needed_and_nothing_else(
    changes: list[tuple[str, str, int]], releases: ModuleType
) -> None:
    """The clock is far ahead, and jumps, so that nothing is too young to go."""
    hours = [0]

    def clock() -> datetime:
        hours[0] += 1
        return datetime(2100, 1, 1, tzinfo=timezone.utc) + timedelta(hours=hours[0])

    with tempfile.TemporaryDirectory() as directory:
        store = Store.create(Path(directory, "portfolio"), releases.CONTRACT, clock=clock)
        run = {
            "add": lambda name, number: releases.add_task(store, name),
            "remove": lambda name, number: releases.remove_task(store, name),
            "version": lambda name, number: releases.add_version(store, name, SAID),
            "judge": lambda name, number: releases.judge(store, Ref(name, number), SAID),
            "promote": lambda name, number: releases.promote(store, Ref(name, number), SAID),
            "rollback": lambda name, number: releases.rollback(store, name, SAID),
            "point": lambda name, number: releases.point(store, name, "stable", number, SAID),
            "suite": lambda name, number: releases.put_suite(store, name, number - 1 or None, SAID),
            "try": lambda name, number: releases.try_out(store, name, number - 1 or None, SAID),
            "disable": lambda name, number: releases.disable(store, name, ("base", None)[number % 2], SAID),
            "put": lambda name, number: store.put(f"{name}{number}".encode()),
            "gc": lambda name, number: store.gc(dry_run=False),
        }
        for what, name, number in changes:
            with contextlib.suppress(Conflict, NotFound):  # there is no such version, or it is the champion already
                run[what](name, number)
            every_blob_can_be_read(store)
        assert releases.contradictions(store, store.snapshot()) == []
        assert [fault for fault in store.verify() if fault.kind != "orphan"] == []
        would_go = store.gc(dry_run=True)
        assert store.gc(dry_run=False) == would_go
        every_blob_can_be_read(store)
        assert store.verify() == ()
        assert store.gc(dry_run=False) == ()
