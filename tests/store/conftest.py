"""A small store, and processes that work on it."""

from __future__ import annotations

import importlib.util
import os
import shutil
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
from portfolio.store.store import Store

_SCRIPT = Path(__file__).with_name("store_process.py")
_CODE = Path(records.__file__).parent.parent

NOBODY = 65534

Start = Callable[..., "subprocess.Popen[str]"]
Seal = Callable[[Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def synthetic() -> ModuleType:
    """The functions of store_process.py."""
    spec = importlib.util.spec_from_file_location("store_process", _SCRIPT)
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
