"""The router: which task an input belongs to, by its nearest class means in the whitened space.

    d_c² = (x - m_c)ᵀ Σ⁻¹ (x - m_c)                       one shrunken covariance for all classes of all tasks
    P(t | x) = Σ_{c in t} exp(-d_c² / 2τ) / Σ_c exp(-d_c² / 2τ)
    in scope = (x - m₀)ᵀ Σ₀⁻¹ (x - m₀) - min_c d_c²       m₀, Σ₀: one Gaussian over all examples

The distances are those of linear discriminant analysis. The in-scope score is the relative Mahalanobis distance with
the sign turned, so that higher is more in scope (Ren et al., 2021, arXiv:2106.09022).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from routing.neighbours import FEW, ClassIndex, Neighbours
from routing.probability import log_softmax, task_log_probabilities, task_log_probabilities_of_nearest
from routing.statistics import Centroids, Float64, FloatArray, Int64, Totals, check_features
from routing.whitening import fit_whitening

_ROWS_AT_ONCE = 1024  # bounds the memory of a batch: (rows, class means) in float64


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the router says to one input."""

    tasks: tuple[str, ...]  # best first, also where it abstains
    scores: tuple[float, ...]  # P(task | x) of those tasks
    margin: float  # the best probability minus the runner-up's; 1 where only one task was allowed
    in_scope: float  # higher is more in scope; any real number
    abstain: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NearestClass:
    """One class near an input."""

    task: str
    number: int  # of the class within its task
    squared_distance: float  # Mahalanobis, 0 or more


class CentroidRouter:
    """Routes features to tasks. Never changes once it is made, so threads may share it."""

    def __init__(
        self,
        totals: Totals,
        tasks: Mapping[str, Centroids],
        *,
        threshold: float = -math.inf,
        temperature: float = 1.0,
        exhaustive_up_to: int = FEW,
    ) -> None:
        """Fit the whitening to the totals of exactly these tasks.

        Args:
            threshold: abstain where the in-scope score is below it.
            temperature: above 1, probabilities are more modest than the distances say.
            exhaustive_up_to: look at every class while there are no more; above that at the nearest `NEAREST` by faiss.

        Raises:
            ValueError: no task, totals of other tasks, a temperature that is not positive, a threshold that is NaN.
        """
        _check_settings(totals, tasks, threshold, temperature)
        self._names = tuple(tasks)
        self._threshold = threshold
        self._temperature = temperature
        sizes = [len(centroids.counts) for centroids in tasks.values()]
        self._task_of_class = np.repeat(np.arange(len(sizes)), sizes)  # (K,)
        self._starts = np.cumsum([0, *sizes[:-1]])  # (T,), the column where each task begins
        origin = totals.feature_sum / totals.rows
        around_origin = totals.second_moment - totals.rows * np.outer(origin, origin)
        self._within = fit_whitening(origin, totals.within, totals.rows - totals.classes)
        self._background = fit_whitening(origin, around_origin, totals.rows - 1)
        means = np.concatenate([centroids.means for centroids in tasks.values()])
        self._index = ClassIndex(self._within.apply(means), few=exhaustive_up_to)

    @property
    def tasks(self) -> tuple[str, ...]:
        return self._names

    @property
    def task_of_class(self) -> Int64:
        """(K,), the number of the task that each class mean belongs to, for `choose_temperature`."""
        return self._task_of_class.copy()

    @property
    def shrinkage(self) -> float:
        """How far the shared covariance was drawn to a multiple of the identity, in [0, 1]."""
        return self._within.shrinkage

    def route(self, features: FloatArray, *, top_k: int = 1, allowed: Sequence[str] | None = None) -> list[Decision]:
        """One decision a row, in the order of the rows.

        Args:
            features: (N, d).
            top_k: how many tasks a decision names; fewer where fewer are allowed.
            allowed: the tasks to choose from, all by default. Probabilities, margin and in-scope score leave out the
                others.

        Raises:
            ValueError: features that are not (N, d) or not finite, an unknown task, no task allowed, top_k below 1.
        """
        if top_k < 1:
            raise ValueError(f"top_k must be 1 or more, got {top_k}")
        chosen = self._numbers(self._names if allowed is None else allowed)
        return [decision for some in self._batches(features) for decision in self._route_batch(some, chosen, top_k)]

    def task_scores(self, features: FloatArray) -> Float64:
        """log P(task | x), (N, T), tasks in the order given to the router.

        Among more classes than the router is exhaustive up to, only the nearest are looked at; a task with none of them
        gets -inf.
        """
        everything = self._numbers(self._names)
        batches = [
            self._log_probabilities(self._look(some, everything), everything) for some in self._batches(features)
        ]
        return np.concatenate([np.empty((0, len(self._names))), *batches])

    def in_scope_scores(self, features: FloatArray) -> Float64:
        """(N,), higher is more in scope: how much nearer the nearest class is than the background of all examples."""
        everything = self._numbers(self._names)
        batches = [self._in_scope(some, self._look(some, everything)) for some in self._batches(features)]
        return np.concatenate([np.empty(0), *batches])

    def negative_half_distances(self, features: FloatArray) -> Float64:
        """(N, K), -d² / 2 to every class mean, before any temperature: what `choose_temperature` wants."""
        return self._class_scores(features, np.arange(len(self._task_of_class)))

    def class_log_probabilities(self, features: FloatArray, task: str) -> Float64:
        """log P(class | task, x), (N, C of that task), from the class means alone, at the router's temperature."""
        columns = np.flatnonzero(np.isin(self._task_of_class, self._numbers([task])))
        return log_softmax(self._class_scores(features, columns) / self._temperature)

    def nearest_classes(self, features: FloatArray, k: int) -> list[tuple[NearestClass, ...]]:
        """For each row its k nearest classes, nearest first; fewer where there are fewer.

        Above as many classes as the router is exhaustive up to, k is at most `NEAREST`.
        """
        if k < 1:
            raise ValueError(f"k must be 1 or more, got {k}")
        everything = self._numbers(self._names)
        found = []
        for some in self._batches(features):
            near = self._look(some, everything)
            order = np.argsort(near.squared_distances, axis=1, kind="stable")[:, :k]
            distances = np.take_along_axis(near.squared_distances, order, axis=1)
            columns = np.take_along_axis(near.columns, order, axis=1)
            found += [
                tuple(self._named(int(column), float(distance)) for column, distance in zip(*row, strict=True))
                for row in zip(columns, distances, strict=True)
            ]
        return found

    def _route_batch(self, features: FloatArray, chosen: Int64, top_k: int) -> list[Decision]:
        near = self._look(features, chosen)
        probabilities = np.exp(self._log_probabilities(near, chosen))  # (N, T)
        in_scope = self._in_scope(features, near)
        # stable: of equal probabilities the task that came first; two at least, for the margin
        order = np.argsort(-probabilities, axis=1, kind="stable")[:, : max(top_k, 2)]
        closest = near.squared_distances.argmin(axis=1)
        decisions = []
        for row, best_first in enumerate(order):
            column, distance = near.columns[row, closest[row]], near.squared_distances[row, closest[row]]
            names = [self._names[chosen[task]] for task in best_first]
            scores = probabilities[row, best_first].tolist()
            nearest = self._named(int(column), float(distance))
            decisions.append(self._decide(names, scores, float(in_scope[row]), nearest, top_k))
        return decisions

    def _decide(
        self, tasks: list[str], scores: list[float], in_scope: float, nearest: NearestClass, top_k: int
    ) -> Decision:
        abstain = in_scope < self._threshold
        parts = [
            f"nearest is class {nearest.number} of '{nearest.task}' (squared distance {nearest.squared_distance:.1f})"
        ]
        if len(tasks) > 1:
            parts.append(f"'{tasks[0]}' has probability {scores[0]:.3f}, the runner-up '{tasks[1]}' {scores[1]:.3f}")
        else:
            parts.append(f"'{tasks[0]}' is the only task to choose from")
        if abstain:
            parts.insert(0, f"abstained: in-scope score {in_scope:.1f} is below the threshold {self._threshold:.1f}")
        elif self._threshold > -math.inf:
            parts.append(f"in-scope score {in_scope:.1f} reaches the threshold {self._threshold:.1f}")
        return Decision(
            tasks=tuple(tasks[:top_k]),
            scores=tuple(scores[:top_k]),
            margin=scores[0] - scores[1] if len(scores) > 1 else 1.0,
            in_scope=in_scope,
            abstain=abstain,
            reason="; ".join(parts),
        )

    def _batches(self, features: FloatArray) -> Iterator[FloatArray]:
        check_features(features, len(self._within.origin))
        for start in range(0, len(features), _ROWS_AT_ONCE):
            yield features[start : start + _ROWS_AT_ONCE]

    def _look(self, features: FloatArray, chosen: Int64) -> Neighbours:
        columns = np.flatnonzero(np.isin(self._task_of_class, chosen))
        return self._index.look(self._within.apply(features), columns)

    def _log_probabilities(self, near: Neighbours, chosen: Int64) -> Float64:
        """(N, len(chosen))"""
        scores = near.squared_distances / (-2 * self._temperature)
        tasks = np.searchsorted(chosen, self._task_of_class[near.columns])  # places within `chosen`
        if near.are_all:
            return task_log_probabilities(scores, np.searchsorted(tasks[0], np.arange(len(chosen))))
        return task_log_probabilities_of_nearest(scores, tasks, len(chosen))

    def _in_scope(self, features: FloatArray, near: Neighbours) -> Float64:
        background = self._background.apply(features)
        return np.asarray(np.einsum("nd,nd->n", background, background) - near.squared_distances.min(axis=1))

    def _class_scores(self, features: FloatArray, columns: Int64) -> Float64:
        batches = [
            self._index.squared_distances(self._within.apply(some), columns) / -2 for some in self._batches(features)
        ]
        return np.concatenate([np.empty((0, len(columns))), *batches])

    def _numbers(self, names: Sequence[str]) -> Int64:
        """The tasks' places in the router, growing."""
        unknown = sorted(set(names) - set(self._names))
        if unknown or not names:
            raise ValueError(f"expected one or more of the tasks {', '.join(self._names)}; got {unknown or 'none'}")
        return np.array(sorted({self._names.index(name) for name in names}), dtype=np.int64)

    def _named(self, column: int, squared_distance: float) -> NearestClass:
        task = int(self._task_of_class[column])
        number = column - int(self._starts[task])
        return NearestClass(task=self._names[task], number=number, squared_distance=squared_distance)


def _check_settings(totals: Totals, tasks: Mapping[str, Centroids], threshold: float, temperature: float) -> None:
    if not tasks:
        raise ValueError("expected one task or more to route between, got none")
    rows = sum(int(centroids.counts.sum()) for centroids in tasks.values())
    classes = sum(len(centroids.counts) for centroids in tasks.values())
    if (rows, classes) != (totals.rows, totals.classes):
        raise ValueError(
            f"expected totals of these tasks, {rows} rows in {classes} classes; "
            f"got totals of {totals.rows} in {totals.classes}"
        )
    if not (0 < temperature < math.inf):
        raise ValueError(f"temperature must be a positive number, got {temperature}")
    if math.isnan(threshold):
        raise ValueError("threshold must be a number (-inf to never abstain), got NaN")
