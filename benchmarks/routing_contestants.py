"""Routers under one interface, and the plain ones among them. All see the same frozen features.

one centroid a task    argmax_t cos(x, m_t)
class centroids        argmax_c cos(x, m_c), and the task that c belongs to
k nearest texts        the task with the largest sum of cosines among the k nearest training texts; in scope by the
                       cosine of the k-th, as in Sun et al., 2022, arXiv:2204.06507
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from benchmarks.routing_data import Float32, Int64
from benchmarks.routing_problems import Problem

Float64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

NEIGHBOURS = 10


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Routed:
    """What a router says to many rows."""

    tasks: Int64  # (N,), forced choices
    scores: Float64  # (N,), higher is more in scope
    margins: Float64  # (N,), how far the best task is before the runner-up, in the router's own unit
    probabilities: Float64 | None = None  # (N,), stated for the choice; None where none is stated
    abstains: Mask | None = None  # (N,), by the router's own rule; None where it has none
    asked: Mask | None = None  # (N,), whether the whole base was asked; None where it always is


class Fitted(Protocol):
    """A router that knows its tasks."""

    bytes_stored: int  # all that is kept of the training rows
    bytes_to_route: int  # the part of it that is read to route
    texts_kept: int  # training rows that can be told from one another in what is kept

    def route(self, features: Float32) -> Routed:
        """(N, d) -> N choices."""
        ...

    def seconds(self, features: Float32, repeats: int) -> list[float]:
        """How long these rows take in one call, each time."""
        ...


class Contestant(Protocol):
    """A kind of router."""

    @property
    def name(self) -> str: ...

    @property
    def most_rows(self) -> int | None:
        """Judged by a sample of so many rows, because it is slow; None: by all."""
        ...

    def fit(self, problem: Problem) -> Fitted:
        """From the training rows; the calibration rows may choose settings, the judged rows are not looked at."""
        ...


def seconds_of(route: Callable[[Float32], object], features: Float32, repeats: int) -> list[float]:
    """How long each of these calls takes, after one that warms up."""
    took = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        route(features)
        took.append(time.perf_counter() - began)
    return took[1:]


class TaskCentroids:
    """One centroid a task."""

    name = "one centroid a task, cosine"
    most_rows: int | None = None

    def fit(self, problem: Problem) -> Fitted:
        return _Centroids(problem, problem.task_of(problem.train), np.arange(len(problem.tasks)))


class ClassCentroids:
    """One centroid a class."""

    name = "class centroids, cosine"
    most_rows: int | None = None

    def fit(self, problem: Problem) -> Fitted:
        return _Centroids(problem, problem.train.classes, problem.task_of_class)


class _Centroids:
    def __init__(self, problem: Problem, groups: Int64, task_of_group: Int64) -> None:
        rows = problem.train.features
        sums = np.zeros((len(task_of_group), rows.shape[1]), dtype=np.float32)
        np.add.at(sums, groups, rows)
        self._means = _unit(sums)
        self._tasks = task_of_group
        self._n_tasks = len(problem.tasks)
        self.bytes_stored = self.bytes_to_route = self._means.nbytes
        self.texts_kept = 0

    def route(self, features: Float32) -> Routed:
        cosines = _unit(features) @ self._means.T
        best = np.full((len(features), self._n_tasks), -np.inf, dtype=np.float32)
        for task in range(self._n_tasks):
            best[:, task] = cosines[:, self._tasks == task].max(axis=1)
        return _routed(best.astype(np.float64), best.max(axis=1).astype(np.float64))

    def seconds(self, features: Float32, repeats: int) -> list[float]:
        return seconds_of(self.route, features, repeats)


class NearestTexts:
    """The nearest of all stored training texts."""

    name = f"{NEIGHBOURS} nearest training texts, cosine"
    most_rows: int | None = None

    def fit(self, problem: Problem) -> Fitted:
        return _Texts(problem)


class _Texts:
    def __init__(self, problem: Problem) -> None:
        self._rows = _unit(problem.train.features)
        self._tasks = problem.task_of(problem.train)
        self._n_tasks = len(problem.tasks)
        texts = sum(len(text.encode()) for text in problem.train.texts)  # a new base needs them again
        self.bytes_to_route = self._rows.nbytes + self._tasks.nbytes
        self.bytes_stored = self.bytes_to_route + texts
        self.texts_kept = len(self._rows)

    def route(self, features: Float32) -> Routed:
        batches = [self._some(_unit(features[start : start + 256])) for start in range(0, len(features), 256)]
        sums, kth = (np.concatenate(parts) for parts in zip(*batches, strict=True))
        return _routed(sums, kth)

    def _some(self, queries: Float32) -> tuple[Float64, Float64]:
        cosines = queries @ self._rows.T  # (n, stored)
        nearest = np.argpartition(-cosines, NEIGHBOURS - 1, axis=1)[:, :NEIGHBOURS]
        near = np.take_along_axis(cosines, nearest, axis=1).astype(np.float64)
        sums = np.zeros((len(queries), self._n_tasks))
        np.add.at(sums, (np.arange(len(queries))[:, None], self._tasks[nearest]), near)
        return sums, near.min(axis=1)

    def seconds(self, features: Float32, repeats: int) -> list[float]:
        return seconds_of(self.route, features, repeats)


@dataclass(frozen=True, slots=True, kw_only=True)
class OnLastBlock:
    """Another router that sees the last block's columns only: what a user of sentence embeddings would give it."""

    inner: Contestant
    width: int

    @property
    def name(self) -> str:
        return f"{self.inner.name}; last block only"

    @property
    def most_rows(self) -> int | None:
        return self.inner.most_rows

    def fit(self, problem: Problem) -> Fitted:
        return _Narrowed(self.inner.fit(problem.last_columns(self.width)), self.width)


class _Narrowed:
    def __init__(self, inner: Fitted, width: int) -> None:
        self._inner = inner
        self._width = width
        self.bytes_stored = inner.bytes_stored
        self.bytes_to_route = inner.bytes_to_route
        self.texts_kept = inner.texts_kept

    def route(self, features: Float32) -> Routed:
        return self._inner.route(features[:, -self._width :])

    def seconds(self, features: Float32, repeats: int) -> list[float]:
        return self._inner.seconds(np.ascontiguousarray(features[:, -self._width :]), repeats)


def _routed(of_tasks: Float64, scores: Float64) -> Routed:
    """Choices by the largest value of a task, (N, T)."""
    best_two = np.partition(of_tasks, -2, axis=1)[:, -2:]
    return Routed(tasks=of_tasks.argmax(axis=1), scores=scores, margins=best_two[:, 1] - best_two[:, 0])


def _unit(rows: Float32) -> Float32:
    """Each row of length 1."""
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)
