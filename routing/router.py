"""The router: which task an input belongs to, by its nearest class means in the whitened space.

    d_c² = (x - m_c)ᵀ Σ⁻¹ (x - m_c)                       one shrunken covariance for all classes of all tasks
    P(t | x) = Σ_{c in t} exp(-d_c² / 2τ) / Σ_c exp(-d_c² / 2τ)

The distances are those of linear discriminant analysis. A feature x is the pooled states of several blocks of the base
side by side, each of unit length: lower blocks tell styles apart, upper ones meanings. What is in scope is judged in
scope.py. Why it is so, in numbers: docs/decisions/0004-router.md.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from routing.neighbours import FEW, ClassIndex, Neighbours
from routing.probability import log_softmax, task_log_probabilities, task_log_probabilities_of_nearest
from routing.scope import Scope
from routing.statistics import Centroids, Float64, FloatArray, Int64, Totals, check_features
from routing.whitening import Spectrum, fit_spectrum

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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Choices:
    """What the router says to many inputs, without words. Tasks are numbers, in the order given to the router."""

    tasks: Int64  # (N,), the best, also where it abstains
    probabilities: Float64  # (N,), P(task | x) of it
    in_scope: Float64  # (N,)
    abstain: npt.NDArray[np.bool_]  # (N,)
    nearest_tasks: Int64  # (N,), the task of the nearest class
    nearest_classes: Int64  # (N,), its number within that task


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Seen:
    """What one batch gives, before it is put into words."""

    near: Neighbours
    probabilities: Float64  # (N, T of those allowed)
    in_scope: Float64  # (N,)
    closest: Int64  # (N,), the column of the nearest class mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The settings of a router that are chosen on validation data."""

    threshold: float  # abstain below this in-scope score
    temperature: float  # of P(task | x)
    shrinkage: float  # of the covariance that all classes share, in [0, 1]


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
        shrinkage: float | None = None,
        class_names: Mapping[str, Sequence[str]] | None = None,
        exhaustive_up_to: int = FEW,
    ) -> None:
        """Fit the whitening and the in-scope score to the totals of exactly these tasks.

        Args:
            threshold: abstain where the in-scope score is below it.
            temperature: above 1, probabilities are more modest than the distances say.
            shrinkage: ρ in [0, 1] of the shared covariance; None for the one that needs no validation data.
            class_names: of every task, for the reasons; numbers by default.
            exhaustive_up_to: look at every class while there are no more; above that at the nearest `NEAREST` by faiss.

        Raises:
            ValueError: no task, totals of other tasks, a temperature that is not positive, a threshold that is NaN, a
                shrinkage that is no share, names that are not one for each class.
        """
        _check_tasks(totals, tasks)
        self._names = tuple(tasks)
        sizes = [len(centroids.counts) for centroids in tasks.values()]
        self._class_names = _checked_names(dict(zip(tasks, sizes, strict=True)), class_names)
        self._task_of_class = np.repeat(np.arange(len(sizes)), sizes)  # (K,)
        self._starts = np.cumsum([0, *sizes[:-1]])  # (T,), the column where each task begins
        self._few = exhaustive_up_to
        self._spectrum = fit_spectrum(totals.feature_sum / totals.rows, totals.within, totals.rows - totals.classes)
        self._coordinates = self._spectrum.coordinates(
            np.concatenate([centroids.means for centroids in tasks.values()])
        )  # (K, d)
        counts = np.concatenate([centroids.counts for centroids in tasks.values()])
        self._scope = Scope(self._spectrum, totals, counts, self._coordinates, few=self._few)
        self._settle(threshold, temperature, self._spectrum.oas if shrinkage is None else shrinkage)

    def calibrated(self, settings: Calibration) -> CentroidRouter:
        """The same router under other settings, much quicker than made anew. ValueError as from the constructor."""
        other = copy.copy(self)
        other._settle(settings.threshold, settings.temperature, settings.shrinkage)
        return other

    def _settle(self, threshold: float, temperature: float, shrinkage: float) -> None:
        _check_settings(threshold, temperature, shrinkage)
        self._threshold = threshold
        self._temperature = temperature
        self._shrinkage = shrinkage
        self._scales = self._spectrum.scales(shrinkage)
        self._index = ClassIndex(self._coordinates * self._scales, few=self._few)

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
        return self._shrinkage

    @property
    def spectrum(self) -> Spectrum:
        """The shared within-class covariance, for `choose_shrinkage`."""
        return self._spectrum

    @property
    def class_coordinates(self) -> Float64:
        """(K, d), the class means in the spectrum's coordinates, for `choose_shrinkage`."""
        return self._coordinates.copy()

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
        return [decision for some in self._batches(features) for decision in self._decisions(some, chosen, top_k)]

    def choose(self, features: FloatArray) -> Choices:
        """What `route` would choose among all tasks, for many rows at once. ValueError as from `route`."""
        everything = self._numbers(self._names)
        batches = [self._see(some, everything) for some in self._batches(features)]
        probabilities = np.concatenate([np.empty((0, len(self._names))), *(seen.probabilities for seen in batches)])
        in_scope = np.concatenate([np.empty(0), *(seen.in_scope for seen in batches)])
        closest = np.concatenate([np.empty(0, dtype=np.int64), *(seen.closest for seen in batches)])
        nearest_tasks = self._task_of_class[closest]
        return Choices(
            tasks=probabilities.argmax(axis=1),  # of equals the first, as in `route`
            probabilities=probabilities.max(axis=1),
            in_scope=in_scope,
            abstain=in_scope < self._threshold,
            nearest_tasks=nearest_tasks,
            nearest_classes=closest - self._starts[nearest_tasks],
        )

    def task_scores(self, features: FloatArray) -> Float64:
        """log P(task | x), (N, T), tasks in the order given to the router.

        Among more classes than the router is exhaustive up to, only the nearest are looked at; a task with none of them
        gets -inf.
        """
        everything = self._numbers(self._names)
        columns = self._columns(everything)
        batches = [
            self._log_probabilities(self._index.look(self._whitened(some), columns), everything)
            for some in self._batches(features)
        ]
        return np.concatenate([np.empty((0, len(self._names))), *batches])

    def in_scope_scores(self, features: FloatArray) -> Float64:
        """(N,), higher is more in scope: how much nearer the nearest class is than the background of all examples."""
        everything = self._numbers(self._names)
        columns = self._columns(everything)
        batches = [self._scope.scores(self._spectrum.coordinates(some), columns) for some in self._batches(features)]
        return np.concatenate([np.empty(0), *batches])

    def negative_half_distances(self, features: FloatArray) -> Float64:
        """(N, K), -d² / 2 to every class mean, before any temperature: what `choose_temperature` wants."""
        return self._class_scores(features, np.arange(len(self._task_of_class)))

    def class_log_probabilities(self, features: FloatArray, task: str) -> Float64:
        """log P(class | task, x), (N, C of that task), from the class means alone, at the router's temperature."""
        columns = self._columns(self._numbers([task]))
        return log_softmax(self._class_scores(features, columns) / self._temperature)

    def nearest_classes(self, features: FloatArray, k: int) -> list[tuple[NearestClass, ...]]:
        """For each row its k nearest classes, nearest first; fewer where there are fewer.

        Above as many classes as the router is exhaustive up to, k is at most `NEAREST`.
        """
        if k < 1:
            raise ValueError(f"k must be 1 or more, got {k}")
        everything = self._columns(self._numbers(self._names))
        found = []
        for some in self._batches(features):
            near = self._index.look(self._whitened(some), everything)
            order = np.argsort(near.squared_distances, axis=1, kind="stable")[:, :k]
            distances = np.take_along_axis(near.squared_distances, order, axis=1)
            columns = np.take_along_axis(near.columns, order, axis=1)
            found += [
                tuple(self._named(int(column), float(distance)) for column, distance in zip(*row, strict=True))
                for row in zip(columns, distances, strict=True)
            ]
        return found

    def _see(self, features: FloatArray, chosen: Int64) -> _Seen:
        columns = self._columns(chosen)
        coordinates = self._spectrum.coordinates(features)
        near = self._index.look(coordinates * self._scales, columns)
        closest = near.squared_distances.argmin(axis=1)
        return _Seen(
            near=near,
            probabilities=np.exp(self._log_probabilities(near, chosen)),
            in_scope=self._scope.scores(coordinates, columns),
            closest=near.columns[np.arange(len(features)), closest],
        )

    def _decisions(self, features: FloatArray, chosen: Int64, top_k: int) -> list[Decision]:
        seen = self._see(features, chosen)
        # stable: of equal probabilities the task that came first; two at least, for the margin
        order = np.argsort(-seen.probabilities, axis=1, kind="stable")[:, : max(top_k, 2)]
        decisions = []
        for row, best_first in enumerate(order):
            names = [self._names[chosen[task]] for task in best_first]
            scores = seen.probabilities[row, best_first].tolist()
            in_scope = float(seen.in_scope[row])
            decisions.append(
                Decision(
                    tasks=tuple(names[:top_k]),
                    scores=tuple(scores[:top_k]),
                    margin=scores[0] - scores[1] if len(scores) > 1 else 1.0,
                    in_scope=in_scope,
                    abstain=in_scope < self._threshold,
                    reason=self._reason(names, scores, in_scope, int(seen.closest[row])),
                )
            )
        return decisions

    def _reason(self, tasks: list[str], scores: list[float], in_scope: float, closest: int) -> str:
        nearest = self._named(closest, 0.0)
        names = self._class_names.get(nearest.task)
        what = f"class {nearest.number}" if names is None else f"'{names[nearest.number]}'"
        parts = [f"nearest class is {what} of '{nearest.task}'"]
        if nearest.task != tasks[0]:
            parts.append(f"all classes of '{tasks[0]}' together weigh more")
        if len(tasks) > 1:
            parts.append(f"P {scores[0]:.2f}, runner-up '{tasks[1]}' {scores[1]:.2f}")
        else:
            parts.append("no other task to choose from")
        if in_scope < self._threshold:
            parts.insert(0, f"abstained: in scope {in_scope:.1f}, below the threshold {self._threshold:.1f}")
        elif self._threshold > -math.inf:
            parts.append(f"in scope {in_scope:.1f}, threshold {self._threshold:.1f}")
        return "; ".join(parts)

    def _batches(self, features: FloatArray) -> Iterator[FloatArray]:
        check_features(features, len(self._spectrum.origin))
        for start in range(0, len(features), _ROWS_AT_ONCE):
            yield features[start : start + _ROWS_AT_ONCE]

    def _whitened(self, features: FloatArray) -> Float64:
        return self._spectrum.coordinates(features) * self._scales

    def _columns(self, chosen: Int64) -> Int64:
        """The class means of these tasks."""
        return np.flatnonzero(np.isin(self._task_of_class, chosen))

    def _log_probabilities(self, near: Neighbours, chosen: Int64) -> Float64:
        """(N, len(chosen))"""
        scores = near.squared_distances / (-2 * self._temperature)
        tasks = np.searchsorted(chosen, self._task_of_class[near.columns])  # places within `chosen`
        if near.are_all:
            return task_log_probabilities(scores, np.searchsorted(tasks[0], np.arange(len(chosen))))
        return task_log_probabilities_of_nearest(scores, tasks, len(chosen))

    def _class_scores(self, features: FloatArray, columns: Int64) -> Float64:
        batches = [
            self._index.squared_distances(self._whitened(some), columns) / -2 for some in self._batches(features)
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


def _check_tasks(totals: Totals, tasks: Mapping[str, Centroids]) -> None:
    if not tasks:
        raise ValueError("expected one task or more to route between, got none")
    rows = sum(int(centroids.counts.sum()) for centroids in tasks.values())
    classes = sum(len(centroids.counts) for centroids in tasks.values())
    if (rows, classes) != (totals.rows, totals.classes):
        raise ValueError(
            f"expected totals of these tasks, {rows} rows in {classes} classes; "
            f"got totals of {totals.rows} in {totals.classes}"
        )


def _checked_names(
    sizes: Mapping[str, int], class_names: Mapping[str, Sequence[str]] | None
) -> dict[str, tuple[str, ...]]:
    if class_names is None:
        return {}
    got = {task: len(names) for task, names in class_names.items()}
    wrong = [f"{got.get(task, 'none')} for the {n} of {task!r}" for task, n in sizes.items() if got.get(task) != n]
    if wrong:
        raise ValueError(f"expected a name for each class, got {', '.join(wrong)}")
    return {task: tuple(class_names[task]) for task in sizes}


def _check_settings(threshold: float, temperature: float, shrinkage: float) -> None:
    if not (0 < temperature < math.inf):
        raise ValueError(f"temperature must be a positive number, got {temperature}")
    if math.isnan(threshold):
        raise ValueError("threshold must be a number (-inf to never abstain), got NaN")
    if not 0 <= shrinkage <= 1:
        raise ValueError(f"shrinkage must be a share from 0 to 1, got {shrinkage}")
