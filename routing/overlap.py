"""Which tasks of a portfolio are near-duplicates, or take each other's inputs; and what a new task takes from the others.

Two tasks are judged by their validation rows and by their class means in the router's whitened space:

    near-duplicate    more than a third of their rows are exchanged (mean of the two shares taken), or most of their
                      classes, both tasks' together, have a class of the other nearer than 0.3 √d
    steals            one of them takes 5 % or more of the other's rows
    apart             neither

0.3 √d (CLINC150, MiniLM, d = 384 to 2,304): 95 % of random halves of an intent, 50 rows each, are nearer than that, and some
5 % at most of different intents. Means of few rows lie √(2 d / n) apart by chance; of such tasks the rows have to tell.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from routing.distance import squared_distances
from routing.statistics import Float64, Int64

NEAR = 0.3  # times √d: nearer than this, two classes may be one
EXCHANGED = 1 / 3  # mean of the two shares above which two tasks are near-duplicates
STEALS = 0.05  # share of a task's rows from which another one steals them

Verdict = Literal["near-duplicate", "steals", "apart"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two tasks about which there is something to say."""

    first: str
    second: str
    taken_by_second: float  # share of the first one's rows; NaN where it has none
    taken_by_first: float
    exchanged: float  # the mean of the two, a NaN counting as 0
    nearest_classes: tuple[int, int]  # the closest class of the first and of the second, numbered within their tasks
    distance: float  # between those two, whitened
    shared_classes: float  # share of both tasks' classes with a partner in the other nearer than `NEAR` · √d
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Overlap:
    """How the tasks of a portfolio lie to each other."""

    tasks: tuple[str, ...]
    chosen: tuple[Int64, ...]  # for each task, the task chosen for each of its validation rows
    taken: Float64  # (T, T), share of the rows of task i that went to task j; a row of NaN for a task without rows
    pairs: tuple[Pair, ...]  # the most rows exchanged first, then the most classes shared; the others are apart


@dataclass(frozen=True, slots=True, kw_only=True)
class Theft:
    """What a task lost when another came."""

    task: str
    rows: tuple[int, ...]  # numbers of the validation rows that went home before, and to the new task now
    share: float  # of all the task's validation rows


def overlap(
    tasks: Sequence[str], chosen: Sequence[Int64], class_means_whitened: Float64, task_of_class: Int64
) -> Overlap:
    """Compare every task with every other.

    Args:
        tasks: T names.
        chosen: for each task (N_t,), the number, 0 to T - 1, of the task chosen for each of its validation rows.
        class_means_whitened: (K, d), in the space where the router measures distance.
        task_of_class: (K,), growing; every task has a class.

    Raises:
        ValueError: arguments that do not agree with each other.
    """
    _check(tasks, chosen, class_means_whitened, task_of_class)
    n = len(tasks)
    taken = np.stack([np.bincount(rows, minlength=n) / (len(rows) or math.nan) for rows in chosen])
    means = [class_means_whitened[task_of_class == task] for task in range(n)]
    shared = _shared_classes(means, class_means_whitened)
    known = np.nan_to_num(taken)
    exchanged = (known + known.T) / 2
    are_alike, steal = (exchanged > EXCHANGED) | (shared > 1 / 2), np.maximum(known, known.T) >= STEALS
    pairs = []
    for i, j in np.argwhere(np.triu((exchanged > 0) | (shared > 0), 1)):
        distances = squared_distances(means[i], means[j])
        a, b = np.unravel_index(distances.argmin(), distances.shape)
        pairs.append(
            Pair(
                first=tasks[i],
                second=tasks[j],
                taken_by_second=float(taken[i, j]),
                taken_by_first=float(taken[j, i]),
                exchanged=float(exchanged[i, j]),
                nearest_classes=(int(a), int(b)),
                distance=math.sqrt(distances[a, b]),
                shared_classes=float(shared[i, j]),
                verdict="near-duplicate" if are_alike[i, j] else "steals" if steal[i, j] else "apart",
            )
        )
    pairs.sort(key=lambda pair: (-pair.exchanged, -pair.shared_classes))
    return Overlap(tasks=tuple(tasks), chosen=tuple(chosen), taken=taken, pairs=tuple(pairs))


def stolen_by(before: Overlap, after: Overlap, new: str) -> tuple[Theft, ...]:
    """What each older task lost to a new one, the greatest share first; none for a task that lost nothing.

    Raises:
        ValueError: the two do not hold the same tasks and validation rows but for the new one.
    """
    old, now = (dict(zip(one.tasks, one.chosen, strict=True)) for one in (before, after))
    if new in old or set(now) != {*old, new} or any(len(now[task]) != len(old[task]) for task in old):
        raise ValueError(
            f"expected the same tasks and rows before and after, and {new!r} after only; got {before.tasks}, {after.tasks}"
        )
    thief = after.tasks.index(new)
    lost = {t: np.flatnonzero((old[t] == i) & (now[t] == thief)).tolist() for i, t in enumerate(before.tasks)}
    thefts = [Theft(task=t, rows=tuple(rows), share=len(rows) / len(old[t])) for t, rows in lost.items() if rows]
    return tuple(sorted(thefts, key=lambda theft: -theft.share))


def _shared_classes(means: Sequence[Float64], every_mean: Float64) -> Float64:
    """(T, T), the share of the classes of two tasks, both together, that have a near class in the other one."""
    sizes = np.array([len(of_task) for of_task in means])
    starts = np.cumsum(sizes) - sizes
    near = NEAR**2 * every_mean.shape[1]
    partnered = np.zeros((len(means), len(means)))  # how many classes of one task have a partner in another
    for task, of_task in enumerate(means):  # all distances of a large portfolio at once would not fit
        nearest = np.minimum.reduceat(squared_distances(of_task, every_mean), starts, axis=1)  # (C, T)
        partnered[task] = (nearest < near).sum(axis=0)
    return np.asarray((partnered + partnered.T) / (sizes[:, None] + sizes))


def _check(tasks: Sequence[str], chosen: Sequence[Int64], class_means_whitened: Float64, task_of_class: Int64) -> None:
    n = len(tasks)
    if not n or len(chosen) != n or any(len(rows) and not 0 <= rows.min() <= rows.max() < n for rows in chosen):
        raise ValueError(f"expected tasks from 0 to {n - 1} for the rows of each of {n} tasks, got {len(chosen)} lots")
    growing = np.array_equal(np.unique(task_of_class), np.arange(n)) and not (np.diff(task_of_class) < 0).any()
    if class_means_whitened.shape[:-1] != task_of_class.shape or not growing:
        raise ValueError(
            f"expected class means (K, d) and the tasks (K,) they belong to, growing, each of {n}; "
            f"got {class_means_whitened.shape} and {task_of_class.shape}"
        )
