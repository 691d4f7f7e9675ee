"""Class means of the frozen base's features, task by task, and which is nearest to a row.

A class that several tasks share has a mean from each of them; the nearer one counts.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from portfolio.compare.contestant import Answers, Int64
from portfolio.compare.world import World
from routing.distance import squared_distances
from routing.statistics import Float64, Totals, summarise


class ClassMeans:
    """What two methods without training keep: running sums, so that tasks may come in any order."""

    def __init__(self, world: World) -> None:
        width = world.host.feature_width
        self._world = world
        self.means: Float64 = np.zeros((0, width))  # one a class and task
        self.classes: Int64 = np.zeros(0, dtype=np.int64)  # of each mean, in the world
        self.totals = Totals.zero(width)

    def learn(self, number: int) -> None:
        """Take one more task in."""
        task = self._world.tasks[number]
        own = np.array(task.classes, dtype=np.int64)
        places = np.searchsorted(own, task.train.labels.numpy())
        centroids, scatter = summarise(task.train.prepared.features.numpy(), places, len(own))
        self.means = np.concatenate([self.means, centroids.means])
        self.classes = np.concatenate([self.classes, own])
        self.totals = self.totals.add(centroids, scatter)

    def answers(self, number: int, points: Float64, means: Float64) -> Answers:
        """Of rows of that task (rows, d) by the nearest of the means (K, d), in the space that both are in.

        The class of a task that is not learned is guessed: the first of its own.
        """
        distances = squared_distances(points, means)
        own = self._world.tasks[number].classes
        here = np.isin(self.classes, own)
        given = self._nearest(distances, here) if here.any() else np.full(len(points), own[0], dtype=np.int64)
        return Answers(free=self._nearest(distances, np.ones_like(here)), given=given)

    def _nearest(self, distances: Float64, allowed: np.ndarray) -> Int64:
        columns = np.flatnonzero(allowed)
        nearest: Int64 = self.classes[columns[distances[:, columns].argmin(axis=1)]]
        return nearest

    def state(self) -> dict[str, Tensor]:
        totals = self.totals
        return {
            "means": torch.from_numpy(self.means.copy()),
            "classes": torch.from_numpy(self.classes.copy()),
            "feature_sum": torch.from_numpy(totals.feature_sum.copy()),
            "within": torch.from_numpy(totals.within.copy()),
            "rows_and_classes": torch.tensor([totals.rows, totals.classes]),
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self.means, self.classes = state["means"].numpy().copy(), state["classes"].numpy().copy()
        rows, classes = state["rows_and_classes"].tolist()
        self.totals = Totals(
            rows=rows,
            classes=classes,
            feature_sum=state["feature_sum"].numpy().copy(),
            within=state["within"].numpy().copy(),
        )


def features_of(world: World, number: int, split: str) -> Float64:
    """(rows, d) of the frozen base, in float64."""
    return world.tasks[number].split(split).prepared.features.numpy().astype(np.float64)
