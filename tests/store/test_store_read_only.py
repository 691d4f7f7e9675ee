"""A portfolio in a directory that cannot be written is read, and every change is refused as `Unwritable`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from portfolio.errors import StoreError, Unwritable
from portfolio.records import Results
from portfolio.store.store import Store

NOBODY = 65534

Seal = Callable[[Callable[[Path], object]], Path]


@pytest.fixture
def read_only(seal: Seal, synthetic: ModuleType) -> Path:
    """A portfolio with the task `first`, whose files and directories are all read-only."""
    return seal(lambda path: synthetic.add_task(Store.create(path, synthetic.CONTRACT), "first"))


def test_it_is_read_whole_and_verified(read_only: Path, synthetic: ModuleType) -> None:
    store = Store.open(read_only)
    assert store.contract == synthetic.CONTRACT
    assert synthetic.whole_tasks(store) == ["first"]
    assert store.verify() == ()
    assert sorted(os.listdir(read_only)) == ["base.json", "blobs", "portfolio.db"]


def test_it_cannot_be_changed(read_only: Path, synthetic: ModuleType) -> None:
    store = Store.open(read_only)
    snapshot = store.snapshot()
    with pytest.raises(Unwritable, match="permissions"):
        store.check_writable()
    with pytest.raises(Unwritable, match="permissions"):
        store.put(b"new bytes")
    with pytest.raises(Unwritable, match="cannot be written"):
        store.commit_results(expected_generation=1, results=Results(cells=tuple(snapshot.cells)))
    assert store.snapshot() == snapshot


def test_no_portfolio_can_be_made_beside_it(read_only: Path, synthetic: ModuleType) -> None:
    with pytest.raises(Unwritable, match="permissions"):
        Store.create(read_only / "blobs" / "another", synthetic.CONTRACT)


def test_changes_that_only_a_writer_could_finish_reading_are_never_left_out(
    read_only: Path, synthetic: ModuleType
) -> None:
    """The log that a killed process leaves holds the last changes; without it, an old state would be read."""
    euid = os.geteuid()
    if euid == NOBODY and os.getuid() == 0:
        os.seteuid(0)
    read_only.chmod(0o755)
    (read_only / "portfolio.db-wal").write_bytes(b"changes")
    read_only.chmod(0o555)
    os.seteuid(euid)
    with pytest.raises(StoreError, match=r"last changes in portfolio\.db-wal.*open the portfolio once"):
        Store.open(read_only)
