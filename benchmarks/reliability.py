"""What is lost when processes that change one portfolio are killed at random, again and again. It should be nothing.

    python benchmarks/reliability.py --seconds 240 --processes 6 --seed 0

Every process adds tasks and versions, judges, promotes, rolls back, moves aliases, disables, removes, tidies, and reads the
whole portfolio; it notes each change after its commit returned. One after the other is killed (SIGKILL) at a random moment,
and another takes its place. In the end, each change that was noted is in the history exactly once, the history adds up to the
state, and the state is whole. Nothing needs a model: the records are made up (`reliability_records.py`).
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from datetime import datetime, timedelta, timezone
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # before this file's directory, whose routing.py hides the package

import reliability_records as made
from reliability_replay import differences, replay
from reliability_worker import Note, notes, opened, work

from portfolio.store.store import Store

RESULTS = Path(__file__).parent / "results" / "reliability.json"
LIFE_S = 0.5  # of a process, on average


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=240.0)
    parser.add_argument("--processes", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--into", type=Path, default=RESULTS, help="the figures, as JSON")
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="reliability-"))
    store = Store.create(root / "portfolio", made.CONTRACT)
    for name in ("a", "b", "c"):
        made.add_task(store, name)
    began = time.monotonic()
    kills = run(store.path, root, options.seconds, options.processes, options.seed)
    figures = {
        "seconds": round(time.monotonic() - began, 1),
        "processes": options.processes,
        "seed": options.seed,
        "kills": kills,
        **judged(store.path, [note for log in sorted(root.glob("*.log")) for note in notes(log)], kills),
        "machine": machine(),
    }
    options.into.write_text(json.dumps(figures, indent=1) + "\n")
    print(table(figures))
    if figures["wrong"]:
        print(f"kept for a look: {root}", file=sys.stderr)
        return 1
    shutil.rmtree(root)
    return 0


# Killing


def run(path: Path, root: Path, seconds: float, processes: int, seed: int) -> int:
    """Let processes work for so long, each until it is killed and another takes its place; how many were killed."""
    chance, end, numbers = random.Random(seed), time.monotonic() + seconds, itertools.count()

    def start() -> int:
        worker = f"w{next(numbers)}"
        return fork(path, root / f"{worker}.log", worker, chance.randrange(1 << 32))

    running = [start() for _ in range(processes)]
    while time.monotonic() < end:
        time.sleep(chance.uniform(0, 2 * LIFE_S / processes))
        place = chance.randrange(processes)
        kill(running[place])
        running[place] = start()
    for process in running:
        kill(process)
    return next(numbers)  # each that was started


def fork(path: Path, log: Path, worker: str, seed: int) -> int:
    """The number of a new process, which is at work in some milliseconds, as nothing is left to import."""
    process = os.fork()
    if process:
        return process
    try:
        work(path, log, worker, seed)
    finally:
        os._exit(1)


def kill(process: int) -> None:
    os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    assert os.WIFSIGNALED(status), "a process ended by itself"


# What was lost


def judged(path: Path, noted: list[Note], kills: int) -> dict[str, object]:
    """The figures of what was done, and all that is wrong."""
    store = opened(path)
    snapshot, events = store.snapshot(), store.events()
    did = Counter(known_by(event.action, event.subject, json.loads(event.detail)) for event in events)
    acknowledged = [note.key for note in noted if note.kind == "did"]
    suites = {suite.name: suite.digest for suite in store.releases.suites()}
    verdicts = [(str(row.ref), row.digest) for row in store.releases.verdicts()]
    lost = [key for key in acknowledged if did[key] == 0]
    doubled = [key for key, times in did.items() if times > 1]
    unnoted = sum(did.values()) - len(acknowledged) - 4  # of those, init and the first three tasks were not a process's
    faults = store.verify()
    tidied = later(path).gc(dry_run=False)
    wrong = [
        *(note.what for note in noted if note.kind == "wrong"),
        *(f"{key} was acknowledged, but is not in the history" for key in lost),
        *(f"{key} is in the history more than once" for key in doubled),
        *([f"{unnoted} changes that nobody noted, after {kills} kills"] if not 0 <= unnoted <= kills else []),
        *(
            [f"generation {snapshot.generation}, but {len(events)} events"]
            if snapshot.generation != len(events) - 1
            else []
        ),
        *differences(replay(events), snapshot, suites, verdicts),
        *made.contradictions(store, snapshot),
        *(fault.message for fault in faults if fault.is_damage),
        *(f"after gc: {fault.message}" for fault in store.verify()),
    ]
    return {
        "changes": len(events) - 1,
        "acknowledged": len(acknowledged),
        "by_kind": dict(sorted(Counter(note.what for note in noted if note.kind == "did").items())),
        "committed_but_killed_before_saying_so": unnoted,
        "readings": sum(note.kind == "read" for note in noted),
        "tried_again_as_another_was_quicker": sum(note.kind == "again" for note in noted),
        "refused": sum(note.kind == "refused" for note in noted),
        "files_deleted_meanwhile": sum(int(note.what) for note in noted if note.kind == "tidied"),
        "left_over": dict(Counter(fault.kind for fault in faults)),
        "deleted_in_the_end": len(tidied),
        "lost": len(lost),
        "wrong": wrong,
    }


def known_by(action: str, subject: str, detail: dict[str, str]) -> str:
    """As `Note.key`; a removed task never comes back under its name, as processes add tasks of new names only."""
    if action in ("add-task", "remove-task"):
        return f"{action} {subject}"
    return detail.get("why", action)


def later(path: Path) -> Store:
    """When everything that nothing refers to is old."""
    return Store.open(path, clock=lambda: datetime.now(timezone.utc) + timedelta(days=1))


def machine() -> dict[str, object]:
    info = Path("/proc/cpuinfo")
    names = [line for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    return {
        "cpu": names[0].partition(":")[2].strip() if names else platform.machine(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "load": [round(load, 1) for load in os.getloadavg()],
    }


def table(figures: dict[str, object]) -> str:
    """Markdown: a line a figure."""
    shown = {key: value for key, value in figures.items() if key not in ("machine", "by_kind", "left_over", "wrong")}
    kinds, left, wrong = figures["by_kind"], figures["left_over"], figures["wrong"]
    assert isinstance(kinds, dict) and isinstance(left, dict) and isinstance(wrong, list)
    lines = [f"| {key.replace('_', ' ')} | {value:,} |" for key, value in shown.items()]
    lines += [f"| – {kind} | {count:,} |" for kind, count in kinds.items()]
    lines += [f"| left over by kills: {kind} | {count:,} |" for kind, count in left.items()]
    lines += [f"| **wrong** | {len(wrong)} |"]
    return "\n".join(["| | |", "|---|---:|", *lines, *wrong[:20]])


if __name__ == "__main__":
    sys.exit(main())
