"""Synthetic statistics of very many classes, for routing_scale_kept.py: no texts, no base.

Tasks of 15 classes of 20 rows. In the whitened space class means have variances 5 exp(-j / 40), half of it shared by a
task, as in routing_scale.py; a fixed matrix leads from there to features. A query is a class mean plus noise of its task's
covariance, which in tasks that come late is stretched by a factor from 0.7 to 1.4 in each direction.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from routing.statistics import Centroids, Float64, Totals

TASK, ROWS = 15, 20  # classes of a task, rows of a class


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class World:
    """What classes are like: x = M z for white coordinates z, with a lower bidiagonal M."""

    width: int
    scale: Float64  # (d,), the diagonal of M; half of it stands below
    stretch: Float64  # (d,), of the noise of tasks that come late

    @classmethod
    def of(cls, width: int) -> World:
        chance = np.random.default_rng(11)
        scale, stretch = 0.02 * chance.uniform(0.5, 1.5, size=width), 2.0 ** chance.uniform(-0.5, 0.5, size=width)
        return cls(width=width, scale=scale, stretch=stretch)

    def mixed(self, white: Float64) -> Float64:
        """(N, d) -> (N, d)"""
        features = white * self.scale
        features[:, 1:] += white[:, :-1] * self.scale[:-1] / 2
        return features

    def tasks(self, classes: int, seed: int) -> dict[str, Centroids]:
        chance = np.random.default_rng(seed)
        scales = np.sqrt(5 * np.exp(-np.arange(self.width) / 40) / 2)
        made = {}
        for number, start in enumerate(range(0, classes, TASK)):
            size = min(TASK, classes - start)
            white = (chance.normal(size=(size, self.width)) + chance.normal(size=self.width)) * scales
            made[f"{seed}-{number}"] = Centroids(counts=np.full(size, ROWS), means=self.mixed(white))
        return made

    def totals(self, tasks: Mapping[str, Centroids], *, late: bool = False) -> Totals:
        """As rows of exactly the covariance of these tasks would give."""
        classes = sum(len(one.counts) for one in tasks.values())
        noise = self.mixed(np.diag(self.stretch if late else np.ones(self.width)))
        feature_sum = ROWS * np.sum([one.means.sum(axis=0) for one in tasks.values()], axis=0)
        within = noise.T @ noise * (classes * (ROWS - 1))
        return Totals(rows=classes * ROWS, classes=classes, feature_sum=feature_sum, within=within)

    def queries(
        self, tasks: Mapping[str, Centroids], rows: int, *, late: bool = False, seed: int = 5
    ) -> tuple[npt.NDArray[np.float32], list[str]]:
        """(rows, d), and the task of each."""
        chance = np.random.default_rng(seed)
        names = [list(tasks)[number] for number in chance.integers(0, len(tasks), rows)]
        means = np.stack([chance.choice(tasks[name].means) for name in names])
        noise = chance.normal(size=(rows, self.width)) * (self.stretch if late else 1.0)
        return (means + self.mixed(noise)).astype(np.float32), names

    def validation(self, tasks: Mapping[str, Centroids], late: Collection[str] = ()) -> list[npt.NDArray[np.float32]]:
        """Three rows of each task."""
        return [
            self.queries({name: one}, 3, late=name in late, seed=100 + number)[0]
            for number, (name, one) in enumerate(tasks.items())
        ]


def sum_of(one: Totals, other: Totals) -> Totals:
    return Totals(
        rows=one.rows + other.rows,
        classes=one.classes + other.classes,
        feature_sum=one.feature_sum + other.feature_sum,
        within=one.within + other.within,
    )
