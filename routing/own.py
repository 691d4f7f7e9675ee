"""A covariance of its own for each task, in the features where tasks differ most in shape: those of the first block.

    z: whitened, so that the covariance shared by all classes is I; u: the first b numbers of z, A_t: what task t's own
    covariance is there
    Σ_t = (1 - a) I + a A_t
    d_c² = |z - m_c|² + { (u - u_c)ᵀ (Σ_t⁻¹ - I) (u - u_c) + log det Σ_t }                     for a class c of task t

This is regularised discriminant analysis (Friedman, 1989, "Regularized Discriminant Analysis", equation 14) with one
covariance a task, kept to a corner: what the rest of z says, given u, stays as it is for all tasks. Only the few tasks that
are nearest without it are scored so. Why this corner, in numbers: docs/decisions/0006-two-looks.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.linalg.lapack import dtrtri

from routing.distance import squared_distances
from routing.neighbours import Neighbours
from routing.statistics import Centroids, Float64, Int64
from routing.whitening import Whitening, times_lower

RESCORED = 4  # tasks a row


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shape:
    """What is kept of one task for this."""

    scatter: Float64  # (b, b), within its classes, of the first b features
    degrees: int  # rows less classes


class WhiteMeans(Protocol):
    """Whitened class means (K, d), of which some are asked for at a time; an array will do."""

    def __getitem__(self, columns_and_features: tuple[Int64, slice], /) -> Float64:
        """(C, b), the leading b features of these class means."""


class Shapes(Protocol):
    """Of every task, by its number; a list will do."""

    def __getitem__(self, task: int, /) -> Shape | None:
        """None for a task that keeps the shared covariance."""


class ShapesOf:
    """Of every task's own covariance, each read when it is first needed."""

    def __init__(self, tasks: Mapping[str, Centroids], width: int, read: dict[int, Shape | None] | None = None) -> None:
        self._tasks = tasks
        self._names = list(tasks)
        self._width = width
        self._read = {} if read is None else read  # by task; read twice at worst, by two threads

    def __getitem__(self, task: int, /) -> Shape | None:
        if task not in self._read:
            self._read[task] = _shape_of(self._tasks[self._names[task]])
        shape = self._read[task]
        return shape if shape is not None and len(shape.scatter) <= self._width else None

    def leading(self, width: int) -> ShapesOf:
        """As the first features show them."""
        return ShapesOf(self._tasks, width, self._read)


class OwnCovariances:
    """The covariances of all tasks of a portfolio. Never changes once it is made."""

    def __init__(
        self,
        shapes: Shapes,
        share: float,
        whitening: Whitening,
        means: WhiteMeans,
        task_of_class: Int64,
    ) -> None:
        """
        Args:
            shapes: of every task; one without, or without degrees of freedom, keeps the shared covariance.
            share: a, in [0, 1).
            whitening: of all features.
            means: (K, d), of the classes, whitened.
            task_of_class: (K,), growing.
        """
        self._task_of_class = task_of_class
        self._means = means
        self._shapes = shapes
        self._share = share
        self._whitening = whitening
        self._made: dict[int, _Own] = {}  # by task, when they are first needed; made twice at worst, by two threads

    def rescored(self, points: Float64, near: Neighbours) -> Neighbours:
        """The same classes with each row's nearest few tasks under their own covariances.

        Args:
            points: (N, d), whitened.
        """
        distances = near.squared_distances.copy()
        tasks = self._task_of_class[near.columns]  # (N, k)
        for task, rows in _rows_by_task(distances, tasks).items():
            own = self._own(task)
            if own is None:
                continue
            corrections = own.corrections(points[rows])  # (n, C)
            here, places = np.nonzero(tasks[rows] == task)
            distances[rows[here], places] += corrections[here, near.columns[rows[here], places] - own.first]
        return Neighbours(squared_distances=distances, columns=near.columns, are_all=near.are_all)

    def _own(self, task: int) -> _Own | None:
        shape = self._shapes[task]
        if shape is None or shape.degrees < 1:
            return None
        if task not in self._made:
            theirs = np.flatnonzero(self._task_of_class == task)
            means = self._means[theirs, : len(shape.scatter)]
            self._made[task] = _Own(shape, self._share, self._whitening, means, int(theirs[0]))
        return self._made[task]


def farthest_scored(distances: Float64, tasks: Int64) -> Float64:
    """(N,): how far the RESCORED-th nearest task is, by its nearest class; infinite where there are fewer.

    Args:
        distances, tasks: (N, k), of each row's classes, and the tasks they belong to.
    """
    order = np.argsort(distances, axis=1, kind="stable")
    found = np.full(len(distances), np.inf)
    for row, line in enumerate(np.take_along_axis(tasks, order, axis=1)):
        _, firsts = np.unique(line, return_index=True)  # where each task comes first
        if len(firsts) >= RESCORED:
            found[row] = distances[row, order[row, np.sort(firsts)[RESCORED - 1]]]
    return found


class _Own:
    """One task's Σ_t, and the corners u_c of its class means (C, b), of which the first has the number `first`."""

    def __init__(self, shape: Shape, share: float, whitening: Whitening, means: Float64, first: int) -> None:
        self.first = first
        self._means = means
        self._width = len(shape.scatter)
        corner = whitening.matrix[: self._width, : self._width]
        own = corner @ (shape.scatter / shape.degrees) @ corner.T
        lower = np.linalg.cholesky((1 - share) * np.eye(self._width) + share * own)
        inverse, failed = dtrtri(lower, lower=1)
        assert failed == 0  # a Cholesky factor has no zero on its diagonal
        self._inverse = np.ascontiguousarray(inverse)  # (b, b), lower triangular
        self._own_means = times_lower(means.copy(), self._inverse)
        self._log_determinant = 2 * float(np.log(np.diag(lower)).sum())

    def corrections(self, points: Float64) -> Float64:
        """(n, d) -> (n, C), to be added to squared distances"""
        points = points[:, : self._width]
        under_own = squared_distances(times_lower(points.copy(), self._inverse), self._own_means)
        return np.asarray(under_own - squared_distances(points, self._means) + self._log_determinant)


def _rows_by_task(distances: Float64, tasks: Int64) -> dict[int, Int64]:
    """For each task the rows that it is one of the RESCORED nearest of."""
    order = np.argsort(distances, axis=1, kind="stable")
    nearest_first = np.take_along_axis(tasks, order, axis=1)
    rows: dict[int, list[int]] = {}
    for row, line in enumerate(nearest_first):
        for task in list(dict.fromkeys(line.tolist()))[:RESCORED]:
            rows.setdefault(task, []).append(row)
    return {task: np.array(some) for task, some in rows.items()}


def _shape_of(centroids: Centroids) -> Shape | None:
    degrees = int(centroids.counts.sum()) - len(centroids.counts)
    return None if centroids.corner is None else Shape(scatter=centroids.corner, degrees=degrees)
