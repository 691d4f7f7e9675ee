"""A small store, and processes that work on it."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from types import ModuleType

import pytest

from portfolio import records
from portfolio.refs import Ref
from portfolio.store.database import Database
from portfolio.store.schema import MIGRATIONS, migrate, state_tables
from portfolio.store.store import Store

_SCRIPT = Path(__file__).with_name("store_process.py")
_CODE = Path(records.__file__).parent.parent

NOBODY = 65534

Start = Callable[..., "subprocess.Popen[str]"]
Seal = Callable[[Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def synthetic() -> ModuleType:
    """The functions of store_process.py."""
    return _module(_SCRIPT)


@pytest.fixture(scope="session")
def releases() -> ModuleType:
    """The functions of benchmarks/reliability_records.py: synthetic portfolios with versions, and changes to them."""
    return _module(_CODE / "benchmarks" / "reliability_records.py")


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module", autouse=True)
def quick_disk(synthetic: ModuleType) -> Iterator[None]:
    """This process waits for no disk."""
    with pytest.MonkeyPatch.context() as patch:
        synthetic.skip_syncs(patch.setattr)
        yield


@pytest.fixture
def store(tmp_path: Path, synthetic: ModuleType) -> Store:
    """A portfolio without tasks, whose clock stands still."""
    moment = datetime(2030, 5, 17, 12, 30, tzinfo=timezone.utc)
    return Store.create(tmp_path / "portfolio", synthetic.CONTRACT, clock=lambda: moment)


@pytest.fixture
def versioned(store: Store, releases: ModuleType) -> Store:
    """`a`, whose second version took over from the first and whose third was judged, tried and called `stable`; and `b`.

    The clock stands still far ahead, so that every file counts as old.
    """
    fill(store, releases)
    return store


def fill(store: Store, releases: ModuleType) -> None:
    """What `versioned` holds."""
    said = {"by": "ann", "why": "to begin with"}
    for name in ("a", "b"):
        releases.add_task(store, name)
    for version in (2, 3):
        releases.add_version(store, "a", said)
        releases.judge(store, Ref("a", version), said)
        if version == 2:
            releases.promote(store, Ref("a", version), said)
    releases.point(store, "a", "stable", 3, said)
    releases.try_out(store, "a", 3, said)
    releases.put_suite(store, "style", 5, said)


@pytest.fixture(scope="session")
def downgrade() -> Callable[[Path], None]:
    """Turns a portfolio into one of the schema before releases, which says the same as far as that can say it."""

    def run(path: Path) -> None:
        database, older = path / "portfolio.db", path / "older.db"
        with contextlib.closing(sqlite3.connect(database)) as now:
            now.row_factory = sqlite3.Row
            Database(older).make()
            with Database(older).writing() as db:
                migrate(db, "long ago", MIGRATIONS[:5])
                for table in state_tables(db):
                    columns = [row["name"] for row in db.execute(f"PRAGMA table_info({table})")]
                    places = ", ".join("?" for _ in columns)
                    rows = now.execute(f"SELECT {', '.join(columns)} FROM {table}")
                    db.executemany(f"INSERT INTO {table} VALUES ({places})", map(tuple, rows))
        os.replace(older, database)

    return run


@pytest.fixture
def two_tasks(store: Store, synthetic: ModuleType) -> Store:
    """A portfolio with the tasks `first` and `second`."""
    for name in ("first", "second"):
        synthetic.add_task(store, name)
    return store


@pytest.fixture
def fused(two_tasks: Store, synthetic: ModuleType) -> Store:
    """`first`, `second`, and `fusion`, whose second version is made of second@1, first@1 and its own fusion@1."""
    synthetic.add_fusion(two_tasks, "fusion", [synthetic.newest(two_tasks, name) for name in ("second", "first")])
    return two_tasks


@pytest.fixture
def seal() -> Iterator[Seal]:
    """Makes a portfolio with a function of its path, then all of it read-only, also for this process.

    Permissions mean nothing to root, so root becomes somebody else meanwhile; and then needs a path that others may
    go, which pytest's own directories are not.
    """
    parent = Path(tempfile.mkdtemp())
    parent.chmod(0o755)
    was_root = os.geteuid() == 0

    def run(make: Callable[[Path], object]) -> Path:
        path = parent / "portfolio"
        make(path)
        for entry in (path, *path.rglob("*")):
            entry.chmod(0o555 if entry.is_dir() else 0o444)
        if was_root:
            os.seteuid(NOBODY)
        return path

    yield run
    if was_root:
        os.seteuid(0)
    for entry in (parent, *parent.rglob("*")):
        entry.chmod(entry.stat().st_mode | stat.S_IWUSR)
    shutil.rmtree(parent)


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts store_process.py with the given arguments; what still runs at the end of the test is killed."""
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-S", str(_SCRIPT), *map(str, arguments)],  # -S: only the standard library is needed
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(_CODE)},
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()
