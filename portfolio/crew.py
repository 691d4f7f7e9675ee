"""Workers as processes of their own. Each loads the base once and learns one task after another.

They are started afresh (`spawn`), not forked: torch's threads do not survive a fork. A script that asks for them must
keep its doings under `if __name__ == "__main__":`, as each worker reads the script's definitions once more.
"""

from __future__ import annotations

import contextlib
import functools
import math
import multiprocessing
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from portfolio.errors import BaseError, PortfolioError, WorkerLost
from portfolio.execution import Execution
from portfolio.side_by_side import Failed, Message, Prepared, Said, Stepped

if TYPE_CHECKING:
    from portfolio.candidates import Job
    from portfolio.engine import Engine

EVERY_S = 0.2  # how often a worker tells how far it is


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """What a worker is to know before its first task."""

    path: Path  # of the portfolio
    threads: int  # of torch
    execution: Execution


class Processes(contextlib.AbstractContextManager["Processes"]):
    """A crew of processes. `with` ends them, whatever they are at."""

    def __init__(self, size: int, post: Post) -> None:
        context = multiprocessing.get_context("spawn")
        self._workers: list[SpawnProcess] = []
        self._pipes: list[Connection] = []
        self._busy: set[int] = set()
        for _ in range(size):
            ours, theirs = context.Pipe()
            worker = context.Process(target=_work, args=(theirs, post), daemon=True)
            worker.start()
            theirs.close()  # else its end would not be seen
            self._workers.append(worker)
            self._pipes.append(ours)

    @property
    def size(self) -> int:
        return len(self._workers)

    def give(self, worker: int, job: Job) -> None:
        self._busy.add(worker)
        with contextlib.suppress(OSError):  # it ended: `hear` will say so
            self._pipes[worker].send(job)

    def hear(self, *, wait: bool) -> list[tuple[int, Message]]:
        speaking = wait_for([self._pipes[worker] for worker in self._busy], timeout=None if wait else 0.0)
        said: list[tuple[int, Message]] = []
        for worker in sorted(self._busy):
            if self._pipes[worker] in speaking:
                said += [(worker, message) for message in self._said_by(worker)]
                if not isinstance(said[-1][1], (Prepared, Stepped, Said)):
                    self._busy.remove(worker)
        return said

    def _said_by(self, worker: int) -> list[Message]:
        """All that a worker has sent by now; at least one message, as there is something to receive."""
        pipe, said = self._pipes[worker], list[Message]()
        try:
            while not said or pipe.poll():
                said.append(pipe.recv())
        except (EOFError, OSError):
            said.append(Failed(_lost(self._workers[worker])))
        return said

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker, pipe in zip(self._workers, self._pipes, strict=True):
            pipe.close()
            worker.terminate()  # what it put is whole, and nothing refers to it
            worker.join()
            worker.close()


def _lost(worker: SpawnProcess) -> WorkerLost:
    worker.join()  # it has let go of its pipe, so it is at its end
    code = worker.exitcode or 0
    if code < 0:
        return WorkerLost(
            f"the process that was learning it was ended by {signal.Signals(-code).name} from outside, as when memory runs "
            "out; what has joined stays: do the same again, with fewer workers if memory is short"
        )
    return WorkerLost(
        f"the process that was to learn it ended with exit code {code}; what it printed says why. A script of your own "
        'must call add_tasks under `if __name__ == "__main__":`'
    )


# In the worker


def _work(pipe: Connection, post: Post) -> None:
    """Learn what comes through the pipe, until its other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the calling process, which ends this one
    import torch  # only now, as it takes long and Ctrl-C would be told of by a traceback

    from portfolio.candidates import learn_job

    torch.set_num_threads(post.threads)
    engine = functools.cache(functools.partial(engine_for, post))
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the calling process is gone, or done
        while True:
            job: Job = pipe.recv()
            try:
                pipe.send(learn_job(engine, job, Telling(pipe.send)))
            except PortfolioError as error:
                pipe.send(Failed(error))


def engine_for(post: Post) -> Engine:
    """The engine of a worker, with a base of its own.

    Raises:
        BaseUnavailable, BaseMismatch: it cannot be loaded by the name that the portfolio keeps.
    """
    from portfolio.engine import Engine
    from portfolio.store.store import Store

    try:
        return Engine(Store.open(post.path), execution=post.execution)
    except BaseError as error:
        raise type(error)(
            f"{error}; each worker loads the base for itself, by the name that the portfolio keeps: where it is only in "
            "this process's memory, add the tasks with workers=1"
        ) from error


class Telling:
    """Progress that is sent to the calling process, now and then."""

    def __init__(self, send: Callable[[Message], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._send = send
        self._clock = clock
        self._rows = 0  # not told yet
        self._told_at = -math.inf

    def prepared(self, rows: int) -> None:
        self._rows += rows
        if self._is_due():
            self._tell_rows()

    def step(self, *, done: int, total: int, loss: float, score: float | None) -> None:
        if done in (1, total) or self._is_due():
            self._tell_rows()
            self._send(Stepped(done=done, total=total, loss=loss, score=score))

    def say(self, message: str) -> None:
        self._send(Said(message))

    def _is_due(self) -> bool:
        now = self._clock()
        if now - self._told_at < EVERY_S:
            return False
        self._told_at = now
        return True

    def _tell_rows(self) -> None:
        if self._rows:
            self._send(Prepared(self._rows))
            self._rows = 0
