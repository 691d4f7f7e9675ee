"""All methods, orders and seeds of a comparison, with the sweep of learning rates before them.

Each method tries its first learning rates on the first order and seed, as many as any other; the one with the best mean
validation accuracy after the last task serves all its runs. What is on disk is not done again, so the same command goes on
after an interruption, and methods can be added later.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import math
import random
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from portfolio.compare.budget import Budget
from portfolio.compare.contestant import Method, Settings
from portfolio.compare.pace import Pace
from portfolio.compare.prepare import Worlds, digest_of, labels_of, read_tasks
from portfolio.compare.results import (
    load_contest,
    make_directory,
    open_contest,
    read_sweep,
    run_directory,
    sweep_directory,
    write_entry,
    write_sweep,
)
from portfolio.compare.trial import Watcher, finished, run_trial
from portfolio.errors import NotFound, require
from portfolio.hosting.base import Base
from portfolio.hosting.host import Host
from portfolio.records import DEFAULT_MAX_TOKENS, UNKNOWN_LABEL
from portfolio.refs import check_name
from portfolio.reports.runs import Contest, Entry, Order, RunNotes, Sweep, Terms
from portfolio.reports.wording import percent
from portfolio.tasks.sequences import Sequence as TaskSequence
from portfolio.tasks.task import TaskData

_COMPUTING = ("torch", "transformers")  # packages whose version may change a figure
_AS_WRITTEN = "written"


def compare(
    sequence: TaskSequence,
    *,
    base: Base,
    names: Sequence[str],
    table: Mapping[str, Method],
    same_run: Mapping[str, str],
    orders: int,
    seeds: int,
    budget: Budget,
    directory: Path,
    say: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
) -> Contest:
    """Run what is not on disk yet of these methods, and give back all that the directory then holds.

    Args:
        names: of methods in `table`.
        same_run: methods that read another one's runs.
        orders: how many; the named ones of the sequence first, then as written, then shuffled ones.
        seeds: 0 to `seeds` - 1.
        say: told one line a finished task.

    Raises:
        NotFound: there is no such method, or a file of the sequence is not there.
        ConfigError: the directory holds another comparison, or there are not so many orders.
        DataError, Unwritable: see `read_tasks` and `open_contest`.
    """
    require(seeds >= 1, f"seeds must be 1 or more, got {seeds}")
    methods = methods_named(names, table, same_run)
    tasks = read_tasks(sequence, budget.test_rows)
    terms = Terms(
        sequence=sequence.name,
        digest=digest_of(tasks),
        base=base.name,
        fingerprint=base.fingerprint,
        per_class=budget.per_class,
        epochs=budget.epochs,
        trials=budget.trials,
        test_rows=budget.test_rows,
        orders=orders_of(sequence, orders),
        seeds=tuple(range(seeds)),
        versions=tuple((package, importlib.metadata.version(package)) for package in _COMPUTING),
    )
    open_contest(directory, terms, _truth(tasks), labels_of(tasks))
    for name in dict.fromkeys(names):
        write_entry(directory, _entry(table[name], same_run.get(name)))
    host = Host(base, trunk=base.model.config.num_hidden_layers // 2, pooling=base.default_pooling)
    try:
        worlds = Worlds(host, base.longest(DEFAULT_MAX_TOKENS), tasks, budget)
        _Contest(terms, methods, worlds, directory, say, clock).run()
    finally:
        host.detach()
    return load_contest(directory)


def methods_named(names: Sequence[str], table: Mapping[str, Method], same_run: Mapping[str, str]) -> tuple[Method, ...]:
    """The methods that must run for these names, each once.

    Raises:
        NotFound: there is no method of one of these names.
    """
    unknown = [repr(name) for name in names if name not in table]
    if unknown:
        raise NotFound(f"there is no method {', '.join(unknown)}; the methods: {', '.join(table)}")
    return tuple(table[name] for name in dict.fromkeys(same_run.get(name, name) for name in names))


def orders_of(sequence: TaskSequence, wanted: int) -> tuple[Order, ...]:
    """So many orders that all differ: the sequence's named ones, its tasks as written, then shuffled.

    Raises:
        ConfigError: there are not so many.
    """
    written = tuple(spec.name for spec in sequence.tasks)
    possible = math.factorial(len(written))
    require(1 <= wanted <= possible, f"orders must be 1 to {possible}, as there are {len(written)} tasks; got {wanted}")
    found: dict[tuple[str, ...], str] = {}
    for name, tasks in _candidates(sequence, written):
        found.setdefault(tasks, name)
        if len(found) == wanted:
            break
    return tuple(Order(name=check_name(name, "order"), tasks=tasks) for tasks, name in found.items())


def _candidates(sequence: TaskSequence, written: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    yield from sequence.orders
    if not sequence.orders:
        yield _AS_WRITTEN, written
    number = 0
    while True:
        number += 1
        yield f"shuffled-{number}", tuple(random.Random(number).sample(written, len(written)))


def _truth(tasks: Sequence[TaskData]) -> dict[str, np.ndarray[tuple[int], np.dtype[np.int32]]]:
    number = {label: index for index, label in enumerate(labels_of(tasks))}
    return {
        task.name: np.array([number.get(label, UNKNOWN_LABEL) for label in task.test.labels], dtype=np.int32)
        for task in tasks
    }


def _entry(method: Method, same_run: str | None) -> Entry:
    return Entry(
        name=method.name,
        words=method.words,
        source=method.source,
        is_joint=method.is_joint,
        knows_task=method.knows_task,
        same_run=same_run,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Trial:
    """One run that is to be made, and where."""

    method: Method
    order: Order
    seed: int
    rate: float
    run: Path

    @property
    def words(self) -> str:
        rate = f", rate {self.rate:g}" if self.method.rates else ""
        return f"{self.method.name}, order {self.order.name}, seed {self.seed}{rate}"


class _Contest:
    """One call of `compare`."""

    def __init__(
        self,
        terms: Terms,
        methods: Sequence[Method],
        worlds: Worlds,
        directory: Path,
        say: Callable[[str], None],
        clock: Callable[[], float],
    ) -> None:
        self._terms = terms
        self._methods = methods
        self._worlds = worlds
        self._directory = directory
        self._say = say
        self._clock = clock
        self._pace = Pace(clock)
        self._tasks = len(terms.orders[0].tasks)
        self._sweeps: dict[str, Sweep] = {}

    def run(self) -> None:
        """The sweeps of all methods, then order by order the runs of all: what is done first can be compared first."""
        terms = self._terms
        for method in self._methods:
            sweeping = len(self._rates(method))
            runs = len(terms.orders) * len(terms.seeds) - (1 if sweeping else 0)  # the best trial is one of the runs
            self._pace.plan(method.name, (sweeping + runs) * self._tasks)
        for method in self._methods:
            if method.rates:
                self._sweeps[method.name] = self._swept(method)
        for seed in terms.seeds:
            for order in terms.orders:
                for method in self._methods:
                    self._run(method, order, seed)

    def _rates(self, method: Method) -> tuple[float, ...]:
        return method.rates[: self._terms.trials]

    def _swept(self, method: Method) -> Sweep:
        """What the method's sweep found; the best trial becomes the run of its order and seed."""
        rates, folder = self._rates(method), sweep_directory(self._directory, method.name)
        sweep = read_sweep(self._directory, method.name)
        if sweep is None:
            notes = [self._ended(self._first_trial(method, rate, folder / f"rate-{rate:g}")) for rate in rates]
            scores = tuple(one.validation_score for one in notes)
            sweep = Sweep(rates=rates, scores=scores, chosen=_best(rates, notes))
            write_sweep(self._directory, method.name, sweep)
            self._say(f"{method.name}: {_in_words(sweep)}")
        else:
            self._pace.skip(method.name, len(rates) * self._tasks)
        if folder.exists():
            run = run_directory(self._directory, method.name, self._terms.orders[0].name, self._terms.seeds[0])
            if sweep.chosen is not None and not run.exists():
                with contextlib.suppress(FileNotFoundError):
                    (folder / f"rate-{sweep.chosen:g}").rename(run)
            shutil.rmtree(folder)
        return sweep

    def _first_trial(self, method: Method, rate: float, run: Path) -> _Trial:
        return _Trial(method=method, order=self._terms.orders[0], seed=self._terms.seeds[0], rate=rate, run=run)

    def _run(self, method: Method, order: Order, seed: int) -> None:
        sweep = self._sweeps.get(method.name)
        is_swept = sweep is not None and (order, seed) == (self._terms.orders[0], self._terms.seeds[0])
        if sweep is not None and sweep.chosen is None:
            if not is_swept:
                self._pace.skip(method.name, self._tasks)  # no rate works, so there is nothing to run
            return
        rate = sweep.chosen if sweep is not None and sweep.chosen is not None else 0.0
        run = run_directory(self._directory, method.name, order.name, seed)
        trial = _Trial(method=method, order=order, seed=seed, rate=rate, run=run)
        if is_swept:
            if finished(method, run, self._tasks, self._say) is None:  # damaged since
                self._pace.plan(method.name, self._tasks)
                self._ended(trial)
            return
        self._ended(trial)

    def _ended(self, trial: _Trial) -> RunNotes:
        """How this trial ended, now or at an earlier time."""
        method, name = trial.method, trial.method.name
        notes = finished(method, trial.run, self._tasks, self._say)
        if notes is not None:
            timed = sum(notes.seconds) if notes.seconds else None
            self._pace.skip(name, self._tasks, timed)
            return notes
        make_directory(trial.run)
        passed = 0

        def step(number: int, seconds: float) -> None:
            nonlocal passed
            learned = self._tasks if method.is_joint else 1
            passed += learned
            self._pace.done(name, learned, seconds)
            what = "all tasks" if method.is_joint else trial.order.tasks[number]
            self._say(f"[{self._pace}] {trial.words}: {what}")

        world = self._worlds.of(trial.seed).in_order(trial.order.tasks)
        settings = Settings(rate=trial.rate, epochs=self._terms.epochs, seed=trial.seed)
        notes = run_trial(method, world, settings, trial.run, Watcher(say=self._say, step=step, clock=self._clock))
        self._pace.skip(name, self._tasks - passed)  # of a run that went on, or diverged
        return notes


def _best(rates: Sequence[float], notes: Sequence[RunNotes]) -> float | None:
    """The rate of the best score, the first of equals; None where all diverged."""
    ended = [(rate, one.validation_score or 0.0) for rate, one in zip(rates, notes, strict=True) if not one.diverged]
    return max(ended, key=lambda pair: pair[1])[0] if ended else None


def _in_words(sweep: Sweep) -> str:
    tried = ", ".join(
        f"{rate:g} ({'diverged' if score is None else f'{percent(score)} % of validation rows'})"
        for rate, score in zip(sweep.rates, sweep.scores, strict=True)
    )
    chosen = "none works" if sweep.chosen is None else f"{sweep.chosen:g} is used from here on"
    return f"learning rates tried: {tried}; {chosen}"
