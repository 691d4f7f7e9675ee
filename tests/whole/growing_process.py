"""A process that others are forked from, each of which adds a task to a portfolio and may be killed on the way.

    python growing_process.py BASE_DIRECTORY

It loads torch and the base once, answers `ready`, and then does what each line on standard input says, as JSON:

    {"portfolio": DIRECTORY, "adds": [{"name", "train", "test", "dies_at"}, …]}

One process for each of `adds`, all at once; one with `dies_at`, such as `learning` or `put 2`, kills itself there. The
answer is one line with their exit statuses as a list: 0, 3 where the name was taken, -9 for a process that was killed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch

from portfolio.errors import Conflict
from portfolio.hosting.base import Base, load_base
from portfolio.portfolio import Portfolio
from portfolio.store.store import Store
from portfolio.training import TrainingConfig


class Mortal:
    """Progress that kills its process at the wanted moment."""

    def __init__(self, dies_at: str | None) -> None:
        self._dies_at = dies_at
        self._steps = 0

    def reach(self, moment: str) -> None:
        if moment == self._dies_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def prepared(self, rows: int) -> None:
        self.reach("preparing")

    def step(self, *, done: int, total: int, loss: float, score: float | None) -> None:
        if done == 2:
            self.reach("learning")

    def say(self, message: str) -> None: ...


class MortalStore(Store):
    """A store whose process dies after the n-th blob it puts, before it commits, or right after."""

    mortal = Mortal(None)
    puts = 0

    def put(self, data: bytes) -> str:
        digest = super().put(data)
        self.puts += 1
        self.mortal.reach(f"put {self.puts}")
        return digest

    def commit_task(self, **arguments: Any) -> None:
        self.mortal.reach("commit")
        super().commit_task(**arguments)
        self.mortal.reach("committed")


def add(base: Base, directory: str, name: str, train: str, test: str, dies_at: str | None = None) -> None:
    mortal = Mortal(dies_at)
    store = MortalStore.open(Path(directory))
    store.mortal = mortal
    training = TrainingConfig(epochs=2, batch_size=16)
    Portfolio(store, base).add_task(name, train, test=test, training=training, progress=mortal)


def forked(base: Base, directory: str, arguments: dict[str, Any]) -> int:
    """The number of a new process that adds the task and ends."""
    process = os.fork()
    if process:
        return process
    status = 1
    try:
        add(base, directory, **arguments)
        status = 0
    except Conflict:
        status = 3
    finally:
        os._exit(status)


def main() -> None:
    torch.set_num_threads(1)
    base = load_base(sys.argv[1])
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        processes = [forked(base, order["portfolio"], arguments) for arguments in order["adds"]]
        statuses = [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in processes]
        print(json.dumps(statuses), flush=True)


if __name__ == "__main__":
    main()
