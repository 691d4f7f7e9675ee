"""Every operation, broken off at each of its writes: by a full disk, by one that became read-only, by a kill.

After each: nothing is damaged, the state is the one before or the one after, and the same operation then succeeds.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from portfolio.errors import NotFound, PortfolioError, Unwritable
from portfolio.records import Snapshot
from portfolio.refs import Ref
from portfolio.store.store import Store
from portfolio.traffic import Counts, Trial

NOW = datetime(2030, 5, 17, 12, 30, tzinfo=timezone.utc)
SAID = {"by": "bob", "why": "it is time"}
KINDS = ("full", "read-only", "killed")
FILES = ("open", "write", "fsync", "replace", "link", "rename", "unlink", "rmdir", "mkdir", "utime")
FREEING = ("unlink", "rmdir", "utime")  # what also a full disk allows
WRITING_SQL = (
    "INSERT",
    "UPDATE",
    "DELETE",
    "CREATE",
    "ALTER",
    "DROP",
    "COMMIT",
    "BEGIN IMMEDIATE",
    "PRAGMA journal_mode",
)

Change = Callable[[Path], object]


class Killed(BaseException):
    """A process that ends here; nothing catches this, and nothing can be written after it."""


class Disk:
    """Counts what is written; what comes at number `at` and after it fails as this disk does."""

    def __init__(self, kind: str, at: int) -> None:
        self.kind = kind
        self.seen: list[str] = []
        self._at = at

    def writes(self, what: str) -> None:
        self.seen.append(what)
        if len(self.seen) < self._at or (self.kind == "full" and what in FREEING):
            return
        if self.kind == "killed":
            raise Killed
        if what in FILES:
            number = errno.ENOSPC if self.kind == "full" else errno.EROFS
            raise OSError(number, os.strerror(number))
        full = self.kind == "full"
        raise sqlite3.OperationalError("database or disk is full" if full else "attempt to write a readonly database")

    def committed(self) -> None:
        """A process may be killed after the commit, too, before it could say so."""
        if self.kind == "killed":
            self.writes("after COMMIT")


@contextlib.contextmanager
def failing(disk: Disk) -> Iterator[None]:
    """Everything that this process writes goes to that disk."""
    with pytest.MonkeyPatch.context() as patch:
        for name in FILES:
            patch.setattr(os, name, counted(disk, name, getattr(os, name)))
        patch.setattr(sqlite3, "connect", connecting(disk, sqlite3.connect))
        yield


def counted(disk: Disk, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    def operation(*args: Any, **keywords: Any) -> Any:
        if name != "open" or args[1] & os.O_CREAT:
            disk.writes(name)
        return original(*args, **keywords)

    return operation


def connecting(disk: Disk, original: Callable[..., sqlite3.Connection]) -> Callable[..., sqlite3.Connection]:
    class Connection(sqlite3.Connection):
        def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
            if sql.strip().startswith(WRITING_SQL):
                disk.writes(sql.split()[0])
            done = super().execute(sql, *values)
            if sql == "COMMIT":
                disk.committed()
            return done

        def executemany(self, sql: str, *values: Any) -> sqlite3.Cursor:
            disk.writes(sql.split()[0])
            return super().executemany(sql, *values)

        def backup(self, target: sqlite3.Connection, **keywords: Any) -> None:
            disk.writes("backup")
            super().backup(target, **keywords)

    def connect(where: Any, **keywords: Any) -> sqlite3.Connection:
        return original(where, **keywords, **({} if where == ":memory:" else {"factory": Connection}))

    return connect


# The operations


def opened(path: Path) -> Store:
    return Store.open(path, clock=lambda: NOW)


def operations(releases: ModuleType, synthetic: ModuleType) -> dict[str, Change]:
    """Each on what `templates` holds for it."""
    a3 = Ref("a", 3)
    trial = Trial(name="a", version=3, beside=2, mode="canary")
    return {
        "create": lambda path: Store.create(path, releases.CONTRACT, clock=lambda: NOW),
        "put": lambda path: opened(path).put(b"new bytes"),
        "put again": lambda path: opened(path).put(releases.content(a3, "adapter")),
        "check_writable": lambda path: opened(path).check_writable(),
        "open": lambda path: opened(path),
        "commit_task": lambda path: releases.add_task(opened(path), "d"),
        "commit_removal": lambda path: releases.remove_task(opened(path), "a"),
        "commit_versions": lambda path: releases.add_version(opened(path), "a", SAID),
        "commit_verdict": lambda path: releases.judge(opened(path), a3, SAID, "BLOCK"),
        "promote": lambda path: releases.promote(opened(path), a3, SAID),
        "rollback": lambda path: releases.rollback(opened(path), "a", SAID),
        "commit_alias": lambda path: releases.point(opened(path), "a", "stable", 1, SAID),
        "commit_disabled": lambda path: releases.disable(opened(path), "b", "a", SAID),
        "commit_deprecated": lambda path: releases.deprecate(opened(path), a3, "too slow", SAID),
        "commit_traffic": lambda path: releases.try_out(opened(path), "a", None, SAID),
        "commit_suite": lambda path: releases.put_suite(opened(path), "style", 6, SAID),
        "add_observations": lambda path: opened(path).releases.add_observations({trial: Counts(same=3)}),
        "commit_tags": lambda path: opened(path).commit_tags(
            expected_generation=opened(path).generation(), name="a", tags={"kind": "safety"}
        ),
        "gc": lambda path: opened(path).gc(dry_run=False),
        "migration": lambda path: releases.disable(opened(path), "first", "base", SAID),
    }


NAMES = tuple(operations(ModuleType("releases"), ModuleType("synthetic")))


@pytest.fixture(scope="module")
def templates(
    tmp_path_factory: pytest.TempPathFactory,
    releases: ModuleType,
    synthetic: ModuleType,
    quick_disk: None,
    downgrade: Callable[[Path], None],
) -> dict[str, Path]:
    """Portfolios to copy: with versions and with much that is left over; and of the schema before releases."""
    root = tmp_path_factory.mktemp("templates")
    full = Store.create(root / "full", releases.CONTRACT, clock=lambda: NOW)
    releases.add_task(full, "c")
    releases.remove_task(full, "c")  # its blobs were left behind long enough ago by the time of the next change
    for name in ("a", "b"):
        releases.add_task(full, name)
    for version in (2, 3):
        releases.add_version(full, "a", SAID)
        releases.judge(full, Ref("a", version), SAID)
        if version == 2:
            releases.promote(full, Ref("a", version), SAID)
    releases.point(full, "a", "stable", 3, SAID)
    releases.try_out(full, "a", 3, SAID)
    releases.put_suite(full, "style", 5, SAID)
    releases.put_suite(full, "tone", 5, SAID)
    full.put(b"nobody's")
    (full.path / ".tmp-0123").write_bytes(b"half")
    (full.path / ".init-0123").mkdir()
    (full.path / ".init-0123" / "portfolio.db").write_bytes(b"half")
    older = Store.create(root / "older", synthetic.CONTRACT, clock=lambda: NOW)
    synthetic.add_task(older, "first")
    synthetic.add_fusion(older, "fusion", [synthetic.newest(older, "first")])
    downgrade(older.path)
    (root / "no base.json").mkdir()
    without = root / "without"
    shutil.copytree(full.path, without)
    (without / "base.json").unlink()
    return {"create": root / "nothing", "migration": older.path, "open": without, "": full.path}


# Breaking them off


def make_like(path: Path, template: Path) -> None:
    """Copy the template again, of which most is there already."""
    there, wanted = files(path), files(template)
    for gone in sorted(there - wanted, reverse=True):
        (path / gone).rmdir() if (path / gone).is_dir() else (path / gone).unlink()
    for name in sorted(wanted):
        if (template / name).is_dir():
            (path / name).mkdir(exist_ok=True)
        elif name not in there or name.parts[0] != "blobs":
            shutil.copyfile(template / name, path / name)


def files(path: Path) -> set[Path]:
    """All below it, and itself."""
    return {one.relative_to(path) for one in (path, *path.rglob("*"))} if path.exists() else set()


def state(path: Path) -> tuple[Snapshot, object] | None:
    """None where there is no portfolio."""
    try:
        store = opened(path)
    except NotFound:
        return None
    suites, counted = store.releases.suites(), store.releases.observations()
    return store.snapshot(), (store.events(), suites, counted, store.releases.verdicts())


def damage(path: Path) -> list[str]:
    return (
        [fault.message for fault in opened(path).verify() if fault.is_damage]
        if (path / "portfolio.db").exists()
        else []
    )


def numbers(seen: list[str], kind: str) -> Iterator[int]:
    """The writes to break off: commits by all three disks, all others by one at least."""
    share = KINDS.index(kind)
    for at, what in enumerate(seen, start=1):
        is_file = what in (*FILES, "backup")
        if "COMMIT" in what or (is_file and kind == "killed") or at % (2 if is_file else 3) == share:
            yield at


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_an_operation_broken_off_at_any_write_leaves_the_state_before_or_after(
    name: str, kind: str, templates: dict[str, Path], releases: ModuleType, synthetic: ModuleType, tmp_path: Path
) -> None:
    template, run = templates.get(name, templates[""]), operations(releases, synthetic)[name]

    path, disk = tmp_path / "portfolio", Disk(kind, at=10**9)
    make_like(path, template)
    before = state(path)
    with failing(disk):
        run(path)
    after = state(path)
    assert damage(path) == []
    refused = 0
    for at in numbers(disk.seen, kind):
        make_like(path, template)
        where, broken = f"broken off at {disk.seen[at - 1]}, {at} of {len(disk.seen)}", Disk(kind, at)
        error: BaseException | None = None
        with failing(broken):
            try:
                run(path)
            except (PortfolioError, Killed) as raised:
                error = raised
        assert broken.seen[:at] == disk.seen[:at], where  # or another write would have been broken off
        refused += error is not None
        assert damage(path) == [], where
        found = state(path)
        if error is None:  # it could do without that write
            assert found == after, where
        elif isinstance(error, Unwritable) and name != "create":
            assert found == before, where
        else:  # a new portfolio may be whole already, and not be taken back where nothing can be deleted any more
            assert isinstance(error, (Killed, Unwritable)) and found in (before, after), where
        if found == before:
            run(path)
            assert state(path) == after, where
    assert damage(path) == []
    assert refused or name == "open"
