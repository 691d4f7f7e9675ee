"""The figures of a contest: each method's results matrices from its answers, and their means over orders and seeds.

    mean over the runs of a method ± t(0.975, n-1) * s / sqrt(n), n runs, each an order and a seed   (95 % interval)
    against the portfolio: the same of the differences, run by run of the same order and seed        (paired)

An interval needs runs that could have come out differently. Where a method says the same in every order (a portfolio of
isolated adapters does), a seed's runs are one run, and not one for each order; where the seed makes no difference, an
order's runs are one.

Two readings are kept apart. Class-incremental: an answer is chosen among all classes known by then. Task-given: the task
is told, and an answer is one of its own classes. Of a joint method only the scores after the last task exist, so figures
over steps are None. Scores are in [0, 1].
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from portfolio.reports import metrics
from portfolio.reports.bootstrap import t_interval
from portfolio.reports.findings import Interval
from portfolio.reports.runs import Contest, Entry, Int32, Run, Sweep, Terms

Array = npt.NDArray[np.float64]

PORTFOLIO = "portfolio"  # the method that all others are measured against
FREE, GIVEN = "class-incremental", "task-given"
READINGS = (FREE, GIVEN)
SCORES = (
    "average_accuracy",
    "micro_average_accuracy",
    "average_incremental_accuracy",
    "plasticity",
    "worst_task",
)
CHANGES = ("bwt", "forgetting", "intransigence")
CEILING = "joint-full"  # the method that intransigence is measured against, in the same order and seed and reading
_OVER_STEPS = ("average_incremental_accuracy", "plasticity", "bwt", "forgetting", "intransigence")  # need every step


_SAME = 0.0005  # scores nearer than this are written alike


@dataclass(frozen=True, slots=True, kw_only=True)
class Mean:
    """Of one figure over runs."""

    mean: float
    interval: Interval | None  # None for one run
    runs: int  # that are independent, behind the interval


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reading:
    """One run, read in one of the two ways."""

    method: str
    order: str
    seed: int
    reading: str
    tasks: tuple[str, ...]  # in the run's order
    results: Array  # (T, T), NaN where it was not measured
    figures: Mapping[str, float | None]
    steps: tuple[float | None, ...]  # average accuracy over the tasks seen so far, after each step


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One method in one reading, over all its runs."""

    method: str
    words: str
    runs: int
    figures: Mapping[str, Mean | None]
    against: Mean | None  # its average accuracy less the portfolio's, paired; None of the portfolio itself
    steps: tuple[float | None, ...]  # mean over runs of the average accuracy over the tasks seen, after each step


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one run of a method takes, and what it keeps at its end."""

    method: str
    words: str
    source: str
    rate: float | None  # of learning; None for a method without
    sweep: Sweep | None
    seconds: Mean  # of learning, all tasks together; the sweep apart
    peak_bytes: int | None  # the most memory the process held; None where the system does not tell
    parameters: int
    numbers: int
    texts: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Standings:
    """All that is said of a contest."""

    terms: Terms
    classes: int
    test_rows: int
    readings: tuple[Reading, ...]
    free: tuple[Standing, ...]  # class-incremental, best first; without methods that know the task
    given: tuple[Standing, ...]  # task-given, best first
    costs: tuple[Cost, ...]
    unfinished: tuple[tuple[str, int], ...]  # methods, and how many of their runs are missing
    diverged: tuple[tuple[str, int], ...]  # methods, and how many of their runs ended so; of a sweep: all
    faults: tuple[str, ...]

    def of(self, reading: str, method: str) -> Standing | None:
        """One method in one reading; None where it has no run."""
        found = self.free if reading == FREE else self.given
        return next((one for one in found if one.method == method), None)

    def difference(self, reading: str, one: str, other: str) -> Mean | None:
        """Average accuracy of `one` less that of `other`, paired; None where no order and seed has both."""
        return _paired(_accuracies(self.readings, reading, one), _accuracies(self.readings, reading, other))


def standings_of(contest: Contest) -> Standings:
    """Every figure, computed from the raw answers."""
    ended = [run for run in contest.runs if run.notes.diverged is None]
    entries = {entry.name: entry for entry in contest.entries}
    ceiling = {(run.order.name, run.seed): run for run in ended if run.method == CEILING}
    readings = tuple(
        _read(run, contest.truth, reading, ceiling.get((run.order.name, run.seed)))
        for run in ended
        for reading in READINGS
        if reading == GIVEN or not entries[run.method].knows_task
    )
    wanted = len(contest.terms.orders) * len(contest.terms.seeds)
    hopeless = {name for name, sweep in contest.sweeps.items() if sweep.chosen is None}
    have = {name: sum(run.method == name for run in contest.runs) for name in entries}
    lost = {
        name: sum(run.method == name and run.notes.diverged is not None for run in contest.runs) for name in entries
    }
    return Standings(
        terms=contest.terms,
        classes=len(np.unique(np.concatenate([*contest.truth.values(), np.zeros(0, np.int32)]))),
        test_rows=sum(len(rows) for rows in contest.truth.values()),
        readings=readings,
        free=_standings(contest.entries, readings, FREE),
        given=_standings(contest.entries, readings, GIVEN),
        costs=tuple(
            _cost(entry, ended, contest.sweeps.get(entry.name)) for entry in contest.entries if _has(entry, ended)
        ),
        unfinished=tuple((n, wanted - have[n]) for n in entries if have[n] < wanted and n not in hopeless),
        diverged=tuple((n, wanted if n in hopeless else lost[n]) for n in entries if n in hopeless or lost[n]),
        faults=contest.faults,
    )


def results_matrix(run: Run, truth: Mapping[str, Int32], reading: str) -> Array:
    """R (T, T): accuracy on the task of a column after the step of a row; NaN where it was not measured."""
    tasks = run.order.tasks
    results = np.full((len(tasks), len(tasks)), np.nan)
    for number, step in run.steps.items():
        for task, answers in (step.free if reading == FREE else step.given).items():
            right = (answers == truth[tasks[task]]) & (answers >= 0)  # below 0: a label that no train names
            results[number, task] = right.mean() if len(right) else np.nan
    return results


def mean_of(values: Mapping[tuple[str, int], float | None]) -> Mean | None:
    """Over the runs, by order and seed, that have the figure; None where none has."""
    measured = {run: value for run, value in values.items() if value is not None}
    if not measured:
        return None
    mean = float(np.mean(list(measured.values())))
    apart = _independent(measured)
    return Mean(mean=mean, interval=t_interval(apart), runs=len(apart))


def _independent(measured: Mapping[tuple[str, int], float]) -> Array:
    """One value for each run that could have come out differently."""
    for part in (1, 0):  # runs of one seed, runs of one order
        groups: defaultdict[str | int, list[float]] = defaultdict(list)
        for run, value in measured.items():
            groups[run[part]].append(value)
        if all(max(group) - min(group) <= _SAME for group in groups.values()):
            return np.array([np.mean(group) for group in groups.values()], dtype=np.float64)
    return np.array(list(measured.values()), dtype=np.float64)


def _read(run: Run, truth: Mapping[str, Int32], reading: str, ceiling: Run | None) -> Reading:
    results = results_matrix(run, truth, reading)
    rows = np.array([len(truth[task]) for task in run.order.tasks], dtype=np.int64)
    worst = metrics.worst_task(results)
    figures = {
        "average_accuracy": metrics.average_accuracy(results),
        "micro_average_accuracy": metrics.micro_average_accuracy(results, rows),
        "average_incremental_accuracy": metrics.average_incremental_accuracy(results),
        "plasticity": metrics.plasticity(results),
        "worst_task": None if worst is None else worst[1],
        "bwt": metrics.bwt(results),
        "forgetting": metrics.forgetting(results),
        "intransigence": None
        if ceiling is None
        else metrics.intransigence(results, results_matrix(ceiling, truth, reading)[-1]),
    }
    if len(run.steps) < len(run.order.tasks):
        figures.update(dict.fromkeys(_OVER_STEPS))
    return Reading(
        method=run.method,
        order=run.order.name,
        seed=run.seed,
        reading=reading,
        tasks=run.order.tasks,
        results=results,
        figures=figures,
        steps=metrics.incremental_accuracies(results),
    )


def _standings(entries: Sequence[Entry], readings: Sequence[Reading], reading: str) -> tuple[Standing, ...]:
    portfolio = _accuracies(readings, reading, PORTFOLIO)
    found = []
    for entry in entries:
        own = [one for one in readings if (one.method, one.reading) == (entry.name, reading)]
        if own:
            against = None if entry.name == PORTFOLIO else _paired(_accuracies(own, reading, entry.name), portfolio)
            found.append(
                Standing(
                    method=entry.name,
                    words=entry.words,
                    runs=len(own),
                    figures={figure: _mean_figure(own, figure) for figure in (*SCORES, *CHANGES)},
                    against=against,
                    steps=_mean_steps(own),
                )
            )
    return tuple(sorted(found, key=_accuracy, reverse=True))


def _accuracy(standing: Standing) -> float:
    accuracy = standing.figures["average_accuracy"]
    return -1.0 if accuracy is None else accuracy.mean


def _accuracies(readings: Sequence[Reading], reading: str, method: str) -> dict[tuple[str, int], float]:
    """By order and seed."""
    found = (
        (one, one.figures["average_accuracy"]) for one in readings if (one.method, one.reading) == (method, reading)
    )
    return {(one.order, one.seed): accuracy for one, accuracy in found if accuracy is not None}


def _paired(ours: Mapping[tuple[str, int], float], theirs: Mapping[tuple[str, int], float]) -> Mean | None:
    return mean_of({run: ours[run] - theirs[run] for run in ours if run in theirs})


def _mean_figure(own: Sequence[Reading], figure: str) -> Mean | None:
    return mean_of({(one.order, one.seed): one.figures[figure] for one in own})


def _mean_steps(own: Sequence[Reading]) -> tuple[float | None, ...]:
    by_step = (
        [score for score in scores if score is not None] for scores in zip(*(one.steps for one in own), strict=True)
    )
    return tuple(float(np.mean(scores)) if scores else None for scores in by_step)


def _has(entry: Entry, ended: Sequence[Run]) -> bool:
    return any(run.method == entry.name for run in ended)


def _cost(entry: Entry, ended: Sequence[Run], sweep: Sweep | None) -> Cost:
    own = [run for run in ended if run.method == entry.name]
    notes = [run.notes for run in own]
    seconds = mean_of({(run.order.name, run.seed): sum(run.notes.seconds) for run in own})
    assert seconds is not None  # each run has seconds
    peaks = [one.peak_bytes for one in notes if one.peak_bytes is not None]
    return Cost(
        method=entry.name,
        words=entry.words,
        source=entry.source,
        rate=notes[0].rate,
        sweep=sweep,
        seconds=seconds,
        peak_bytes=max(peaks, default=None),
        parameters=max(one.parameters for one in notes),
        numbers=max(one.numbers for one in notes),
        texts=max(one.texts for one in notes),
    )
