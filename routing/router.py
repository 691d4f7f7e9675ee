"""The router: which task an input belongs to, by its nearest class means in the whitened space.

    d_c² = (x - m_c)ᵀ Σ⁻¹ (x - m_c) - s² / n_c + s² / n₀  one shrunken covariance for all classes of all tasks
    P(t | x) = Σ_{c in t} exp(-d_c² / 2τ) / Σ_c exp(-d_c² / 2τ)

The distances are those of linear discriminant analysis, less the noise of means of few rows (mean_noise.py). A feature x is
the pooled states of several blocks of the base side by side, each of unit length: lower blocks tell styles apart, upper
ones meanings. What is in scope is judged in scope.py. Why it is so, in numbers: docs/decisions/0004-router.md.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from routing.decision import Choices, Decision, NearestClass, reason_of
from routing.mean_noise import MeanNoise
from routing.neighbours import FEW, Neighbours
from routing.own import OwnCovariances, ShapesOf, farthest_scored
from routing.probability import task_log_probabilities, task_log_probabilities_of_nearest
from routing.reach import Surroundings
from routing.scope import InScope
from routing.space import ExactSpace, Space
from routing.statistics import Centroids, Float64, FloatArray, Int64, Totals, check_features
from routing.whitening import Covariance, Whitening, fit_covariance

_ROWS_AT_ONCE = 1024  # bounds the memory of a batch: (rows, class means) in float64
MOST_OWN = 128  # tasks up to which each has a covariance of its own; beyond, they would take too much memory
NEAREST_TOLD = 3  # classes that a decision names


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Seen:
    """What one batch gives, before it is put into words."""

    near: Neighbours  # under the shared covariance
    scored: Neighbours  # some tasks under their own
    origin: Float64  # (N,), squared distance of the origin
    probabilities: Float64  # (N, T of those allowed)
    in_scope: InScope
    closest: Int64  # (N,), the column of the nearest class mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The settings of a router that are chosen on validation data."""

    threshold: float  # abstain below this in-scope score
    temperature: float  # of P(task | x)
    shrinkage: float  # of the covariance that all classes share, in [0, 1]
    own_share: float = 0.0  # of each task's own covariance, in [0, 1)


class CentroidRouter:
    """Routes features to tasks. Never changes once it is made, so threads may share it."""

    def __init__(
        self,
        totals: Totals,
        tasks: Mapping[str, Centroids],
        *,
        settings: Calibration | None = None,
        class_names: Mapping[str, Sequence[str]] | None = None,
        exhaustive_up_to: int = FEW,
        space: Space | None = None,
    ) -> None:
        """
        Args:
            totals: of exactly these tasks.
            settings: by default, those that need no validation data; nothing is abstained from.
            class_names: of every task, for the reasons; numbers by default.
            exhaustive_up_to: look at every class while there are no more; above that at the nearest `NEAREST` by faiss.
            space: with the classes of these tasks; by default one that is fitted to them and the totals.

        Raises:
            ValueError: no task, totals of other tasks, a temperature that is not positive, a threshold that is NaN, a
                shrinkage that is no share, or not that of a kept space, names that are not one for each class.
        """
        self._covariance = covariance_of(totals)
        by_default = Calibration(
            threshold=-math.inf, temperature=1.0, shrinkage=self._covariance.oas if space is None else space.shrinkage
        )
        self._settings = by_default if settings is None else settings
        _check_settings(self._settings)
        if space is None:
            _check_tasks(totals, tasks)
            centroids = list(tasks.values())
            space = ExactSpace.of(self._covariance, centroids, self._settings.shrinkage, exhaustive_up_to)
        self._space = space.shrunk(self._settings.shrinkage)
        sizes = self._space.sizes
        self._names = tuple(tasks)
        self._number = {name: number for number, name in enumerate(self._names)}
        self._class_names = _checked_names(dict(zip(tasks, sizes, strict=True)), class_names)
        self._task_of_class = np.repeat(np.arange(len(sizes)), sizes)  # (K,)
        self._all_columns = np.arange(len(self._task_of_class))
        self._starts = np.cumsum([0, *sizes[:-1]])  # (T,), the column where each task begins
        may_own = len(tasks) <= MOST_OWN  # where they may not, no centroids are asked for that the space has already
        self._shapes = ShapesOf(tasks, self.width) if may_own else None
        self._own = self._own_covariances()

    def calibrated(self, settings: Calibration) -> CentroidRouter:
        """The same router under other settings, quicker than made anew. ValueError as from the constructor."""
        other = copy.copy(self)
        other._settle(settings)
        return other

    def _settle(self, settings: Calibration) -> None:
        _check_settings(settings)
        before, self._settings = self._settings, settings
        self._space = self._space.shrunk(settings.shrinkage)
        if (settings.shrinkage, settings.own_share) != (before.shrinkage, before.own_share):
            self._own = self._own_covariances()

    def _own_covariances(self) -> OwnCovariances | None:
        share = self._settings.own_share
        if share == 0 or self._shapes is None:
            return None
        space = self._space
        return OwnCovariances(self._shapes, share, space.whitening, space.white_means, self._task_of_class)

    def at_temperature(self, temperature: float) -> CentroidRouter:
        """The same router, surer or more modest. ValueError as from the constructor."""
        return self.calibrated(replace(self.settings, temperature=temperature))

    def leading(self, width: int) -> CentroidRouter:
        """The router that sees the first features alone, under the same settings.

        Raises:
            ValueError: a width that a kept space was not fitted for.
        """
        other = copy.copy(self)
        other._covariance = self._covariance.leading(width)
        other._space = self._space.leading(width)
        if self._shapes is not None:
            other._shapes = self._shapes.leading(width)
        other._own = other._own_covariances()
        return other

    @property
    def tasks(self) -> tuple[str, ...]:
        return self._names

    @property
    def width(self) -> int:
        """How many features a row has."""
        return len(self._space.whitening.origin)

    @property
    def task_of_class(self) -> Int64:
        """(K,), the number of the task that each class mean belongs to."""
        return self._task_of_class.copy()

    @property
    def settings(self) -> Calibration:
        return self._settings

    @property
    def temperature(self) -> float:
        """τ, of P(task | x)."""
        return self._settings.temperature

    @property
    def whitening(self) -> Whitening:
        """The way into the space where the router measures."""
        return self._space.whitening

    @property
    def scope_whitening(self) -> Whitening:
        """The way into that of the in-scope score."""
        return self._space.scope.whitening

    @property
    def noise(self) -> MeanNoise:
        """Of the class means in the space where the router measures."""
        return self._space.noise

    @property
    def fit_digest(self) -> str | None:
        """Of what is kept while tasks come and go; None where nothing is."""
        return self._space.fit_digest

    @property
    def may_own(self) -> bool:
        """Whether there are so few tasks that each may have a covariance of its own."""
        return self._shapes is not None

    @property
    def is_kept(self) -> bool:
        """Whether its space was fitted to earlier class means, so that its shrinkage cannot be another."""
        return self._space.is_kept

    @property
    def covariance(self) -> Covariance:
        """Within classes, shared by all of them."""
        return self._covariance

    @property
    def class_means(self) -> Float64:
        """(K, d), as features."""
        return self._space.means

    def whitened(self, features: FloatArray) -> Float64:
        """(N, d) -> (N, d), where squared Euclidean distance is the router's."""
        return self._space.whitening.apply(features)

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
        chosen = self._numbers(self._names if allowed is None else tuple(allowed))
        return [decision for some in self._batches(features) for decision in self._decisions(some, chosen, top_k)]

    def choose(self, features: FloatArray) -> Choices:
        """What `route` would choose among all tasks, for many rows at once. ValueError as from `route`."""
        return self._choices(self._seen_among_all(features))

    def survey(self, features: FloatArray) -> tuple[Choices, Surroundings]:
        """What `choose` gives, and how far the class means are that it rests on. ValueError as from `route`."""
        batches = self._seen_among_all(features)
        around = [self._surroundings(seen) for seen in batches]
        fields = Surroundings.__dataclass_fields__
        together = {field: np.concatenate([getattr(one, field) for one in around]) for field in fields}
        return self._choices(batches), Surroundings(**together)

    def _seen_among_all(self, features: FloatArray) -> list[_Seen]:
        everything = self._numbers(self._names)
        return [self._see(some, everything) for some in self._batches(features)]

    def _choices(self, batches: Sequence[_Seen]) -> Choices:
        probabilities = np.concatenate([seen.probabilities for seen in batches])
        in_scope = np.concatenate([seen.in_scope.scores for seen in batches])
        closest = np.concatenate([seen.closest for seen in batches])
        nearest_tasks = self._task_of_class[closest]
        best_two = -np.sort(-probabilities, axis=1)[:, :2]
        return Choices(
            tasks=probabilities.argmax(axis=1),  # of equals the first, as in `route`
            probabilities=best_two[:, 0],
            margins=best_two[:, 0] - best_two[:, 1] if len(self._names) > 1 else np.ones(len(best_two)),
            in_scope=in_scope,
            abstain=in_scope < self._settings.threshold,
            nearest_tasks=nearest_tasks,
            nearest_classes=closest - self._starts[nearest_tasks],
        )

    def _surroundings(self, seen: _Seen) -> Surroundings:
        distances, tau = seen.near.squared_distances, self._settings.temperature
        nearest = distances.min(axis=1)
        scores = seen.scored.squared_distances / (-2 * tau)
        best = scores.max(axis=1)
        looked_at_all = distances.shape[1] == len(self._task_of_class)
        return Surroundings(
            origin=seen.origin,
            nearest=nearest,
            scored=nearest if self._own is None else farthest_scored(distances, self._task_of_class[seen.near.columns]),
            farthest=np.full(len(nearest), np.inf) if looked_at_all else distances.max(axis=1),
            together=-2 * tau * (best + np.log(np.exp(scores - best[:, None]).sum(axis=1))),
            scope_origin=seen.in_scope.origin,
            scope_nearest=seen.in_scope.nearest,
        )

    def class_distances(self, points: Float64) -> Neighbours:
        """How far whitened rows (N, d) are from the classes looked at, for choosing settings."""
        columns = self._columns(self._numbers(self._names))
        made = [
            self._distances(points[start : start + _ROWS_AT_ONCE], columns)
            for start in range(0, max(1, len(points)), _ROWS_AT_ONCE)
        ]
        return Neighbours(
            squared_distances=np.concatenate([one.squared_distances for one in made]),
            columns=np.concatenate([one.columns for one in made]),
            are_all=all(one.are_all for one in made),
        )

    def _distances(self, points: Float64, columns: Int64) -> Neighbours:
        near = self._space.index.look(points, columns)
        return near if self._own is None else self._own.rescored(points, near)

    def in_scope_scores(self, features: FloatArray) -> Float64:
        """(N,), higher is more in scope: how much nearer the nearest class is than the background of all examples."""
        columns = self._columns(self._numbers(self._names))
        return np.concatenate([self._space.scope.look(some, columns).scores for some in self._batches(features)])

    def _see(self, features: FloatArray, chosen: Int64) -> _Seen:
        columns = self._columns(chosen)
        points = self._space.whitening.apply(features)
        near = self._space.index.look(points, columns)
        scored = near if self._own is None else self._own.rescored(points, near)
        closest = near.squared_distances.argmin(axis=1)
        return _Seen(
            near=near,
            scored=scored,
            origin=np.einsum("nd,nd->n", points, points),
            probabilities=np.exp(self._log_probabilities(scored, chosen)),
            in_scope=self._space.scope.look(features, columns),
            closest=near.columns[np.arange(len(features)), closest],
        )

    def _decisions(self, features: FloatArray, chosen: Int64, top_k: int) -> list[Decision]:
        seen = self._see(features, chosen)
        # stable: of equal probabilities the task that came first; two at least, for the margin
        order = np.argsort(-seen.probabilities, axis=1, kind="stable")[:, : max(top_k, 2)]
        nearest = np.argsort(seen.near.squared_distances, axis=1, kind="stable")[:, :NEAREST_TOLD]
        return [self._decision(seen, chosen, row, order[row], nearest[row], top_k) for row in range(len(features))]

    def _decision(
        self, seen: _Seen, chosen: Int64, row: int, best_first: Int64, nearest: Int64, top_k: int
    ) -> Decision:
        """Args: best_first: (T,), places within `chosen`; nearest: (k,), places among the classes looked at."""
        names = tuple(self._names[chosen[task]] for task in best_first)
        scores = tuple(seen.probabilities[row, best_first].tolist())
        in_scope = float(seen.in_scope.scores[row])
        columns, distances = seen.near.columns[row, nearest], seen.near.squared_distances[row, nearest]
        near = tuple(self._named(int(column), float(far)) for column, far in zip(columns, distances, strict=True))
        called = self._class_names.get(near[0].task)
        what = f"class {near[0].number}" if called is None else f"'{called[near[0].number]}'"
        return Decision(
            tasks=names[:top_k],
            scores=scores[:top_k],
            runner_up=names[1] if len(names) > 1 else None,
            margin=scores[0] - scores[1] if len(scores) > 1 else 1.0,
            in_scope=in_scope,
            threshold=self._settings.threshold,
            abstain=in_scope < self._settings.threshold,
            nearest=near,
            reason=reason_of(names[:2], scores[:2], what, near[0].task, in_scope, self._settings.threshold),
        )

    def _batches(self, features: FloatArray) -> Iterator[FloatArray]:
        """One or more; without rows, one that is empty."""
        check_features(features, self.width)
        for start in range(0, max(len(features), 1), _ROWS_AT_ONCE):
            yield features[start : start + _ROWS_AT_ONCE]

    def _columns(self, chosen: Int64) -> Int64:
        """The class means of these tasks."""
        everything = len(chosen) == len(self._names)  # of ten thousand tasks it takes a while to see which
        return self._all_columns if everything else np.flatnonzero(np.isin(self._task_of_class, chosen))

    def _log_probabilities(self, near: Neighbours, chosen: Int64) -> Float64:
        """(N, len(chosen))"""
        scores = near.squared_distances / (-2 * self._settings.temperature)
        if near.are_all:
            theirs = self._task_of_class[self._columns(chosen)]  # growing
            return task_log_probabilities(scores, np.searchsorted(theirs, chosen))
        tasks = np.searchsorted(chosen, self._task_of_class[near.columns])  # places within `chosen`
        return task_log_probabilities_of_nearest(scores, tasks, len(chosen))

    def _numbers(self, names: tuple[str, ...]) -> Int64:
        """The tasks' places in the router, growing."""
        if names == self._names:
            return np.arange(len(names))
        unknown = sorted(set(names) - set(self._number))
        if unknown or not names:
            raise ValueError(f"expected one or more of the tasks {', '.join(self._names)}; got {unknown or 'none'}")
        return np.array(sorted({self._number[name] for name in names}), dtype=np.int64)

    def _named(self, column: int, squared_distance: float) -> NearestClass:
        task = int(self._task_of_class[column])
        number = column - int(self._starts[task])
        return NearestClass(task=self._names[task], number=number, squared_distance=squared_distance)


def covariance_of(totals: Totals) -> Covariance:
    """Within classes, shared by all of them. ValueError for the totals of no task."""
    if totals.rows == 0:
        raise ValueError("expected one task or more to route between, got none")
    return fit_covariance(totals.feature_sum / totals.rows, totals.within, totals.rows - totals.classes)


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


def _check_settings(settings: Calibration) -> None:
    if not (0 < settings.temperature < math.inf):
        raise ValueError(f"temperature must be a positive number, got {settings.temperature}")
    if math.isnan(settings.threshold):
        raise ValueError("threshold must be a number (-inf to never abstain), got NaN")
    if not 0 <= settings.shrinkage <= 1:
        raise ValueError(f"shrinkage must be a share from 0 to 1, got {settings.shrinkage}")
    if not 0 <= settings.own_share < 1:
        raise ValueError(f"own share must be from 0 to below 1, got {settings.own_share}")
