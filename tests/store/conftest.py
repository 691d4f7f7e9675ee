"""A small store, and processes that work on it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from types import ModuleType

import pytest

from portfolio import records
from portfolio.store.store import Store

_SCRIPT = Path(__file__).with_name("store_process.py")
_CODE = Path(records.__file__).parent.parent

Start = Callable[..., "subprocess.Popen[str]"]


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
