"""The space that a router measures in, fitted to all of its class means at once.

Up to tens of thousands of class means it is fitted anew whenever a task comes or goes, which is exact. Above that it is
kept for a while: kept_space.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from routing.mean_noise import MeanNoise
from routing.neighbours import ClassIndex, ClassLookup
from routing.own import WhiteMeans
from routing.scope import SHRINKAGE, Scope, fit_scope
from routing.statistics import Centroids, Float64, Int64
from routing.whitening import Covariance, Whitening


class Space(Protocol):
    """Where squared Euclidean distance is the Mahalanobis distance, with the class means that are there. Never changes."""

    @property
    def sizes(self) -> Sequence[int]:
        """How many classes each task has."""

    @property
    def shrinkage(self) -> float:
        """Of the covariance, in [0, 1]."""

    @property
    def is_kept(self) -> bool:
        """Whether it was fitted to earlier class means, so that its shrinkage cannot be another."""

    @property
    def fit_digest(self) -> str | None:
        """Of what is kept while tasks come and go; None where nothing is."""

    @property
    def whitening(self) -> Whitening:
        """The way into it."""

    @property
    def noise(self) -> MeanNoise:
        """Of the class means in it."""

    @property
    def index(self) -> ClassLookup:
        """Of the class means in it, which takes their noise off the distances."""

    @property
    def scope(self) -> Scope:
        """The in-scope score, which measures in a space of its own."""

    @property
    def means(self) -> Float64:
        """(K, d), of the classes, as features."""

    @property
    def white_means(self) -> WhiteMeans:
        """(K, d), of the classes, in this space."""

    def shrunk(self, share: float) -> Space:
        """The space of the covariance shrunk by another share. ValueError if this one is kept."""

    def leading(self, width: int) -> Space:
        """The space of the first features alone. ValueError for a width that a kept space was not fitted for."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ExactSpace:
    """Fitted to exactly the class means in it."""

    sizes: tuple[int, ...]
    covariance: Covariance
    means: Float64
    counts: Int64  # (K,), the examples of each class
    few: int  # class means up to which all of them are looked at
    scope_means: Float64  # (K, d), where the in-scope score measures
    scope: Scope
    shrinkage: float
    whitening: Whitening
    white_means: Float64
    noise: MeanNoise
    index: ClassIndex
    is_kept: bool = False
    fit_digest: None = None

    @classmethod
    def of(cls, covariance: Covariance, tasks: Sequence[Centroids], shrinkage: float, few: int) -> ExactSpace:
        """The space of these tasks' classes, under a covariance that may be that of more tasks."""
        means = np.concatenate([centroids.means for centroids in tasks])
        counts = np.concatenate([centroids.counts for centroids in tasks])
        scope_whitening = covariance.whitening(SHRINKAGE)
        scope_means = scope_whitening.apply(means)
        whitening = covariance.whitening(shrinkage)
        white_means = whitening.apply(means)
        noise = MeanNoise.of(covariance, whitening, shrinkage, counts)
        return cls(
            sizes=tuple(len(centroids.counts) for centroids in tasks),
            covariance=covariance,
            means=means,
            counts=counts,
            few=few,
            scope_means=scope_means,
            scope=fit_scope(scope_whitening, scope_means, counts, few),
            shrinkage=shrinkage,
            whitening=whitening,
            white_means=white_means,
            noise=noise,
            index=ClassIndex(white_means, few=few, noise=noise, counts=counts),
        )

    def shrunk(self, share: float) -> ExactSpace:
        if share == self.shrinkage:
            return self
        whitening = self.covariance.whitening(share)
        white_means = whitening.apply(self.means)
        noise = MeanNoise.of(self.covariance, whitening, share, self.counts)
        return replace(
            self,
            shrinkage=share,
            whitening=whitening,
            white_means=white_means,
            noise=noise,
            index=ClassIndex(white_means, few=self.few, noise=noise, counts=self.counts),
        )

    def leading(self, width: int) -> ExactSpace:
        scope_means, white_means = self.scope_means[:, :width], np.ascontiguousarray(self.white_means[:, :width])
        covariance, whitening = self.covariance.leading(width), self.whitening.leading(width)
        noise = MeanNoise.of(covariance, whitening, self.shrinkage, self.counts)
        return replace(
            self,
            covariance=covariance,
            means=self.means[:, :width],
            scope_means=scope_means,
            scope=fit_scope(self.scope.whitening.leading(width), scope_means, self.counts, self.few),
            whitening=whitening,
            white_means=white_means,
            noise=noise,
            index=ClassIndex(white_means, few=self.few, noise=noise, counts=self.counts),
        )
