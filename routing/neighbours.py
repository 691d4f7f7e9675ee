"""Distances from queries to class means: all of them while they are few, the nearest when they are many.

up to FEW    every distance, in float64
up to FLAT   faiss looks at all and names the nearest
above        an index of cells, which may miss one: large_index.py
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from routing.large_index import FLAT, LargeIndex
from routing.statistics import Float64, Int64

FEW = 4096  # class means up to which every distance is computed, in float64
NEAREST = 64  # how many are looked at above that


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Neighbours:
    """Which class means were looked at for each query, and how far they are."""

    squared_distances: Float64  # (N, k)
    columns: Int64  # (N, k), the numbers of the class means
    are_all: bool  # then the columns are the same in every row, in the order asked for; otherwise nearest first


class ClassLookup(Protocol):
    """Where a router looks for the class means near an input."""

    def look(self, queries: Float64, columns: Int64, nearest: int = NEAREST) -> Neighbours:
        """The neighbours (N, k) of finite queries (N, d) among these class means, one or more, numbers growing."""


class ClassIndex:
    """The class means of a portfolio, in the space where squared Euclidean distance is what counts."""

    def __init__(self, means: Float64, *, few: int = FEW, flat: int = FLAT) -> None:
        """(K, d). Up to `few` of them are searched exhaustively in float64, up to `flat` exhaustively by faiss."""
        self._means = means
        self._squared_norms = np.einsum("kd,kd->k", means, means)
        self._few = few
        self._index = LargeIndex.build(means, flat=flat) if len(means) > few else None

    def look(self, queries: Float64, columns: Int64, nearest: int = NEAREST) -> Neighbours:
        """The neighbours (N, k) of finite queries (N, d) among these class means, one or more, numbers growing.

        All of these class means where they are few; otherwise as many as `nearest`.
        """
        if self._index is None or len(columns) <= self._few:
            distances = self.squared_distances(queries, columns)
            shared = np.broadcast_to(columns, distances.shape)
            return Neighbours(squared_distances=distances, columns=shared, are_all=True)
        everything = len(columns) == len(self._means)
        found = self._index.nearest(queries, nearest, among=None if everything else columns)
        return Neighbours(squared_distances=found.squared_distances, columns=found.columns, are_all=False)

    def squared_distances(self, queries: Float64, columns: npt.NDArray[np.integer]) -> Float64:
        """(N, d) -> (N, len(columns)), each 0 or more; column numbers growing, each once."""
        # |q - m|² = |q|² + |m|² - 2 q·m: one matrix product instead of a (N, K, d) difference
        everything = len(columns) == len(self._means)
        means = (
            self._means if everything else self._means[columns]
        )  # no copy where none is needed: it is the larger part
        squares = np.einsum("nd,nd->n", queries, queries)[:, None] + self._squared_norms[columns]
        return np.asarray(np.maximum(squares - 2 * (queries @ means.T), 0.0))
