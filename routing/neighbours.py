"""Distances from queries to class means: all of them while they are few, the nearest when they are many.

up to FEW    every distance, in float64
up to FLAT   all are looked at in float32, and the nearest measured again in float64
above        an index of cells, which may miss one: large_index.py
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from routing.large_index import FLAT, LargeIndex, Nearest
from routing.mean_noise import NO_NOISE, MeanNoise, level
from routing.statistics import Float64, Int64

FEW = 4096  # class means up to which every distance is computed, in float64
NEAREST = 64  # how many are looked at above that


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Neighbours:
    """Which class means were looked at for each query, and how far they are."""

    squared_distances: Float64  # (N, k); less what mean_noise.py says, where the index knows it, then below 0 at times
    columns: Int64  # (N, k), the numbers of the class means
    are_all: bool  # then the columns are the same in every row, in the order asked for; otherwise nearest first


class ClassLookup(Protocol):
    """Where a router looks for the class means near an input."""

    def look(self, queries: Float64, columns: Int64, nearest: int = NEAREST) -> Neighbours:
        """The neighbours (N, k) of finite queries (N, d) among these class means, one or more, numbers growing."""


class ClassIndex:
    """The class means of a portfolio, in the space where squared Euclidean distance is what counts."""

    def __init__(
        self,
        means: Float64,
        *,
        few: int = FEW,
        flat: int = FLAT,
        noise: MeanNoise = NO_NOISE,
        counts: Int64 | None = None,
    ) -> None:
        """(K, d). Up to `few` of them are searched exhaustively in float64, up to `flat` in float32.

        Args:
            noise: of the means, to be taken off the distances.
            counts: (K,), the rows of each mean; as many by default.
        """
        counts = np.full(len(means), noise.largest) if counts is None else counts
        corrections = noise.corrections(counts)
        is_noisy = bool(corrections.any())  # where all have as many rows, nothing is computed that would be 0
        self._noise = noise if is_noisy else None
        self._corrections = corrections if is_noisy else None
        self._means = means
        self._squared_norms = np.einsum("kd,kd->k", means, means)
        self._few = few
        self._index: LargeIndex | None = None
        if len(means) > few:
            self._index = LargeIndex.build(noise.lifted(means, counts) if is_noisy else means, flat=flat)

    def look(self, queries: Float64, columns: Int64, nearest: int = NEAREST) -> Neighbours:
        """The neighbours (N, k) of finite queries (N, d) among these class means, one or more, numbers growing.

        All of these class means where they are few; otherwise as many as `nearest`.
        """
        if self._index is None or len(columns) <= self._few:
            distances = self.squared_distances(queries, columns)
            shared = np.broadcast_to(columns, distances.shape)
            return Neighbours(squared_distances=distances, columns=shared, are_all=True)
        everything = len(columns) == len(self._means)
        found = nearest_corrected(self._index, self._noise, queries, nearest, None if everything else columns)
        return Neighbours(squared_distances=found.squared_distances, columns=found.columns, are_all=False)

    def squared_distances(self, queries: Float64, columns: npt.NDArray[np.integer]) -> Float64:
        """(N, d) -> (N, len(columns)), without noise each 0 or more; column numbers growing, each once."""
        # |q - m|² = |q|² + |m|² - 2 q·m: one matrix product instead of a (N, K, d) difference
        everything = len(columns) == len(self._means)
        means = (
            self._means if everything else self._means[columns]
        )  # no copy where none is needed: it is the larger part
        squares = np.einsum("nd,nd->n", queries, queries)[:, None] + self._squared_norms[columns]
        distances = np.maximum(squares - 2 * (queries @ means.T), 0.0)
        if self._corrections is not None:
            distances += self._corrections[columns]
        return np.asarray(distances)


def nearest_corrected(
    index: LargeIndex, noise: MeanNoise | None, queries: Float64, nearest: int, among: Int64 | None
) -> Nearest:
    """The nearest (N, k) by corrected distances, in an index of means that are lifted where there is noise."""
    if noise is None:
        return index.nearest(queries, nearest, among=among)
    found = index.nearest(level(queries), nearest, among=among)
    return replace(found, squared_distances=found.squared_distances - noise.ground)
