"""One process that works on a portfolio at random, until it is killed; it notes each change after its commit returned."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

import reliability_records as made

from portfolio.errors import Conflict, NotFound
from portfolio.records import Snapshot
from portfolio.refs import Ref
from portfolio.store.changes import GenerationMoved
from portfolio.store.references import KEPT_S
from portfolio.store.store import Store

MOST_TASKS = 8
KEPT_HERE_S = 20.0  # in place of KEPT_S, so that there is something to delete during the run


def opened(path: Path) -> Store:
    """With a clock that is ahead: what is older than KEPT_HERE_S counts as older than KEPT_S."""
    ahead = timedelta(seconds=KEPT_S - KEPT_HERE_S)
    return Store.open(path, clock=lambda: datetime.now(timezone.utc) + ahead)


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One line of a worker's log."""

    kind: str  # `did`, `read`, `refused`, `again`, `tidied`, `wrong`
    what: str = ""  # the change, what was wrong, or how many files were deleted
    key: str = ""  # what the event of the change is known by: its `why`, or the task that came or went

    def line(self) -> bytes:
        return "\t".join((self.kind, self.what.replace("\n", " "), self.key)).encode() + b"\n"


def notes(log: Path) -> list[Note]:
    """Those of a worker; without a last line that a kill cut short."""
    lines = log.read_text().split("\n")[:-1]
    return [Note(kind=kind, what=what, key=key) for kind, what, key in (line.split("\t") for line in lines)]


def work(path: Path, log: Path, worker: str, seed: int) -> None:
    """Change and read without end."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    store, chance, count = opened(path), random.Random(seed), 0
    while True:
        count += 1
        try:
            note = _step(store, chance, f"{worker}-{count}", descriptor)
        except (Conflict, NotFound) as error:  # what it was about went or moved meanwhile
            note = Note(kind="refused", what=type(error).__name__)
        except Exception as error:  # whatever it is, it must be told
            note = Note(kind="wrong", what=f"{type(error).__name__}: {error}")
        os.write(descriptor, note.line())


def _step(store: Store, chance: random.Random, token: str, log: int) -> Note:
    if chance.random() < 0.3:
        contradictions = made.contradictions(store, store.snapshot())
        return Note(kind="wrong", what="; ".join(contradictions)) if contradictions else Note(kind="read")
    if chance.random() < 0.02:
        return Note(kind="tidied", what=str(len(store.gc(dry_run=False))))
    while True:
        what, key, change = _choice(store, store.snapshot(), chance, token)
        try:
            change()
        except GenerationMoved:  # somebody else was quicker: look again
            os.write(log, Note(kind="again").line())
            continue
        return Note(kind="did", what=what, key=key)


def _choice(store: Store, now: Snapshot, chance: random.Random, token: str) -> tuple[str, str, Callable[[], None]]:
    """A change that makes sense as things are: what it is called, what its event is known by, and how it is done."""
    said: Mapping[str, object] = {"by": token.partition("-")[0], "why": token}
    names = [task.name for task in now.tasks]
    if len(names) < 3 or (chance.random() < 0.06 and len(names) < MOST_TASKS):
        return "add-task", f"add-task t{token}", lambda: made.add_task(store, f"t{token}")
    name = chance.choice(names)
    versions = [adapter.version for adapter in now.adapters if adapter.name == name]
    ref = Ref(name, chance.choice(versions))
    if len(names) > 3 and chance.random() < 0.06:
        return "remove-task", f"remove-task {name}", lambda: made.remove_task(store, name)
    if len(versions) < 2 or (chance.random() < 0.1 and len(versions) < 6):
        return "add-version", token, lambda: made.add_version(store, name, said)
    version = chance.choice([*versions, None])
    instead = chance.choice(["base", "none", None])
    why = chance.choice(["too slow", None])
    suite = chance.choice("xyz")
    rows = chance.choice([3, 4, 5])
    changes: dict[str, Callable[[], None]] = {
        "promote": lambda: made.promote(store, ref, said),
        "rollback": lambda: made.rollback(store, name, said),
        "gate": lambda: made.judge(store, ref, said, "PASS" if ref.version % 2 else "BLOCK"),
        "alias": lambda: made.point(store, name, suite, version, said),
        "disable": lambda: made.disable(store, name, instead, said),
        "deprecate": lambda: made.deprecate(store, ref, why, said),
        "traffic": lambda: made.try_out(store, name, version, said),
        "suite": lambda: made.put_suite(store, suite, rows, said),
    }
    what = chance.choice([*changes, "promote", "rollback", "alias"])
    return what, token, changes[what]
