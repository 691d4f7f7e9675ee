"""On a full disk every change is refused as `Unwritable`, and the old state stays."""

from __future__ import annotations

import errno
import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from portfolio import records
from portfolio.errors import Unwritable
from portfolio.store.store import Store

Start = Callable[..., "subprocess.Popen[str]"]

_LIMITED = Path(__file__).with_name("limited_process.py")
_CODE = Path(records.__file__).parent.parent


def full() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_disk_that_fills_up_at_any_file_operation_of_adding_a_task_leaves_the_old_state(
    two_tasks: Store, synthetic: ModuleType
) -> None:
    before = two_tasks.snapshot()
    for at in itertools.count(1):
        with pytest.MonkeyPatch.context() as patch:
            seen = synthetic.interrupt_files(patch.setattr, at, full)
            try:
                synthetic.add_task(two_tasks, f"third-{at}")  # a name of its own, so that no blob is there already
            except Unwritable as error:
                assert "No space left" in str(error) and "free some space" in str(error)
            else:
                break
        assert two_tasks.snapshot() == before
        assert synthetic.damage_found(two_tasks) == []
        assert not list(two_tasks.path.rglob(".tmp-*"))
    assert {"open", "write", "fsync", "replace", "mkdir"} <= set(seen)
    assert synthetic.whole_tasks(two_tasks) == ["first", "second", f"third-{at}"]


@pytest.mark.parametrize("existing", [True, False])
def test_a_disk_that_fills_up_at_any_file_operation_of_creating_leaves_what_was_there(
    tmp_path: Path, synthetic: ModuleType, existing: bool
) -> None:
    directory = tmp_path / "portfolio"
    if existing:
        directory.mkdir()
    for at in itertools.count(1):
        with pytest.MonkeyPatch.context() as patch:
            seen = synthetic.interrupt_files(patch.setattr, at, full)
            try:
                store = Store.create(directory, synthetic.CONTRACT)
            except Unwritable as error:
                assert "No space left" in str(error)
            else:
                break
        assert os.listdir(tmp_path) == ([directory.name] if existing else [])
        assert not existing or os.listdir(directory) == []
    assert {"open", "write", "fsync", "link", "replace", "mkdir"} <= set(seen)
    assert store.verify() == ()


def test_a_database_that_cannot_grow_leaves_the_old_state(start: Start, tmp_path: Path) -> None:
    """The process checks itself, under limits of a file's size that break off each write of SQLite in turn."""
    process = start("limit", tmp_path / "portfolio")
    said, complaint = process.communicate(timeout=60)
    assert complaint == ""
    outcomes = said.split()
    assert outcomes == sorted(outcomes, reverse=True)  # `refused` under small limits, `added` under large ones
    assert min(outcomes.count("refused"), outcomes.count("added")) >= 2


def test_a_database_that_cannot_grow_refuses_every_change_to_versions(releases: ModuleType, tmp_path: Path) -> None:
    """Likewise; each change is tried under higher and higher limits until it is done."""
    process = subprocess.run(
        [sys.executable, "-S", str(_LIMITED), str(releases.__file__), str(tmp_path / "portfolio")],
        env={**os.environ, "PYTHONPATH": str(_CODE)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert process.stderr == ""
    outcomes = process.stdout.split()
    assert outcomes.count("done") == 10
    assert outcomes.count("refused") >= 20


def test_check_writable_sees_a_full_disk_and_leaves_nothing_behind(two_tasks: Store, synthetic: ModuleType) -> None:
    two_tasks.check_writable()
    with pytest.MonkeyPatch.context() as patch:
        synthetic.interrupt_files(patch.setattr, 2, full)  # the file can be made, but takes no byte
        with pytest.raises(Unwritable, match="free some space"):
            two_tasks.check_writable()
    assert two_tasks.verify() == ()
