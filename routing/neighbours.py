"""Distances from queries to class means: all of them while they are few, faiss's nearest when they are many."""

from __future__ import annotations

from dataclasses import dataclass

import faiss
import numpy as np
import numpy.typing as npt

from routing.statistics import Float64, Int64

FEW = 4096  # class means up to which every distance is computed, in float64
NEAREST = 64  # how many are looked at above that


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Neighbours:
    """Which class means were looked at for each query, and how far they are."""

    squared_distances: Float64  # (N, k)
    columns: Int64  # (N, k), the numbers of the class means
    are_all: bool  # then the columns are the same in every row, in the order asked for; otherwise nearest first


class ClassIndex:
    """The class means of a portfolio, in the space where squared Euclidean distance is what counts."""

    def __init__(self, means: Float64, *, few: int = FEW) -> None:
        """(K, d). Up to `few` of them are searched exhaustively in float64."""
        self._means = means
        self._squared_norms = np.einsum("kd,kd->k", means, means)
        self._few = few
        self._index = faiss.IndexFlatL2(means.shape[1])
        if len(means) > few:
            self._index.add(means.astype(np.float32))

    def look(self, queries: Float64, columns: Int64, nearest: int = NEAREST) -> Neighbours:
        """The neighbours (N, k) of finite queries (N, d) among these class means, one or more, numbers growing.

        All of these class means where they are few; otherwise as many as `nearest`.
        """
        if len(columns) <= self._few:
            distances = self.squared_distances(queries, columns)
            shared = np.broadcast_to(columns, distances.shape)
            return Neighbours(squared_distances=distances, columns=shared, are_all=True)
        selector = faiss.IDSelectorBatch(columns)  # a name of its own: faiss does not keep it alive
        parameters = faiss.SearchParameters()
        parameters.sel = selector
        everything = len(columns) == len(self._means)
        searched, found = self._index.search(
            queries.astype(np.float32), min(nearest, len(columns)), params=None if everything else parameters
        )
        return Neighbours(squared_distances=searched.astype(np.float64), columns=found, are_all=False)

    def squared_distances(self, queries: Float64, columns: npt.NDArray[np.integer]) -> Float64:
        """(N, d) -> (N, len(columns)), each 0 or more; column numbers growing, each once."""
        # |q - m|² = |q|² + |m|² - 2 q·m: one matrix product instead of a (N, K, d) difference
        everything = len(columns) == len(self._means)
        means = (
            self._means if everything else self._means[columns]
        )  # no copy where none is needed: it is the larger part
        squares = np.einsum("nd,nd->n", queries, queries)[:, None] + self._squared_norms[columns]
        return np.asarray(np.maximum(squares - 2 * (queries @ means.T), 0.0))
