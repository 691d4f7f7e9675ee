"""Every change that has to do with versions, under ever higher limits of the size of a file.

    python limited_process.py RECORDS DIRECTORY    RECORDS: benchmarks/reliability_records.py

Such a limit makes every write of SQLite beyond it fail, as on a full disk. The process checks itself; a line on standard
output says of each attempt whether it was `refused` or `done`.
"""

from __future__ import annotations

import importlib.util
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from portfolio.errors import Unwritable
from portfolio.refs import Ref
from portfolio.store import database
from portfolio.store.store import Store

SAID = {"by": "ann", "why": "a test"}
LIMITS = range(0, 100_000, 7_000)  # bytes


def main(records: Path, directory: Path) -> None:
    made = loaded(records)
    database.SETTINGS = tuple(one.replace("= FULL", "= OFF") for one in database.SETTINGS)  # nobody cuts the power
    store = Store.create(directory, made.CONTRACT)
    for name in ("a", "b"):
        made.add_task(store, name)
    for change in changes(made, store):
        limited(made, store, change)


def changes(made: ModuleType, store: Store) -> list[Callable[[], object]]:
    a2 = Ref("a", 2)
    return [
        lambda: made.add_version(store, "a", SAID),
        lambda: made.judge(store, a2, SAID),
        lambda: made.promote(store, a2, SAID),
        lambda: made.rollback(store, "a", SAID),
        lambda: made.point(store, "a", "stable", 2, SAID),
        lambda: made.disable(store, "a", "b", SAID),
        lambda: made.deprecate(store, a2, "too slow", SAID),
        lambda: made.try_out(store, "a", 2, SAID),
        lambda: made.put_suite(store, "style", 3, SAID),
        lambda: made.remove_task(store, "a"),
    ]


def limited(made: ModuleType, store: Store, change: Callable[[], object]) -> None:
    """Try the change under each limit until it is done, in the end under none."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = store.snapshot(), store.events()
    for limit in (*LIMITS, hard):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            change()
            outcome = "done"
        except Unwritable:
            outcome = "refused"
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        print(outcome, flush=True)
        assert [fault for fault in store.verify() if fault.is_damage] == [], f"under a limit of {limit} bytes"
        assert made.contradictions(store, store.snapshot()) == [], f"under a limit of {limit} bytes"
        if outcome == "done":
            assert store.generation() == before[0].generation + 1
            return
        assert (store.snapshot(), store.events()) == before, f"under a limit of {limit} bytes"


def loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
