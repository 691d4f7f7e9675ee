"""How much an input looks like anything that the portfolio knows, as one number.

    in scope = (x - m₀)ᵀ Σ₀⁻¹ (x - m₀) - min_c (x - m_c)ᵀ Σ_w⁻¹ (x - m_c)             higher: more in scope
    Σ_w = the within-class covariance, shrunk by the share 0.5
    Σ₀  = 1.2 · (Σ_w + Σ_b)            Σ_b = Σ_c n_c (m_c - m₀)(m_c - m₀)ᵀ / n

This generalises the relative Mahalanobis distance (Ren et al., 2021, arXiv:2106.09022), with the sign turned: there Σ₀
and Σ_w are fitted apart. With few examples they are then shrunk by different shares, and their difference says more
about the shares than about x. Here the background is the within-class model plus the spread of the class means, so both
agree wherever the means do not differ; the factor makes the background a little wider than what it was fitted to.

AUROC against out-of-scope rows (demo: 864 rows; CLINC150 with 25 rows a class; CLINC150 with all 100), d = 768:

    | share, factor                     | demo | 25 a class | full |
    | 0.5, 1.2                          | .951 | .981       | .987 |
    | OAS, 1                            | .852 | .977       | .985 |
    | fitted apart, each with its OAS   | .141 | .968       | .977 |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from routing.neighbours import ClassIndex, ClassLookup
from routing.statistics import Float64, FloatArray, Int64
from routing.whitening import Whitening, times_upper

SHRINKAGE = 0.5  # of Σ_w, for this score only; see the table above
BACKGROUND_FACTOR = 1.2  # how much wider than Σ_w + Σ_b the background is


class Background(Protocol):
    """The background Gaussian, in the space where Σ_w is the identity."""

    def squared_distances(self, points: Float64) -> Float64:
        """(N, d) -> (N,), under Σ_w + Σ_b"""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InScope:
    """How much inputs are in scope, and where they stand; (N,) each."""

    scores: Float64
    nearest: Float64  # squared distance of the nearest class mean
    origin: Float64  # of m₀


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scope:
    """The in-scope score of a portfolio."""

    whitening: Whitening  # of Σ_w, its origin the mean m₀ of all examples
    index: ClassLookup  # of the class means in that space
    background: Background

    def look(self, features: FloatArray, columns: Int64) -> InScope:
        """Of features (N, d), the nearest class looked for among these class means."""
        points = self.whitening.apply(features)
        nearest = self.index.look(points, columns, nearest=1).squared_distances.min(axis=1)
        scores = self.background.squared_distances(points) / BACKGROUND_FACTOR - nearest
        return InScope(scores=scores, nearest=nearest, origin=np.einsum("nd,nd->n", points, points))


def fit_scope(whitening: Whitening, means: Float64, counts: Int64, few: int) -> Scope:
    """The score fitted to these classes.

    Args:
        whitening: of Σ_w shrunk by SHRINKAGE, its origin the mean m₀ of all examples.
        means: (K, d), of the classes, in that space.
        counts: (K,), the examples of each class.
        few: up to how many class means are searched exhaustively.
    """
    spread = means * np.sqrt(counts / counts.sum())[:, None]  # AᵀA = Σ_b, where Σ_w is the identity
    background = FewMeans(spread) if len(means) < means.shape[1] else ManyMeans.of(spread.T @ spread)
    return Scope(whitening=whitening, index=ClassIndex(means, few=few), background=background)


class FewMeans:
    """Distances under I + AᵀA for an A (K, d) of fewer rows than columns.

    (I + AᵀA)⁻¹ = I - Aᵀ (I + AAᵀ)⁻¹ A         Woodbury's identity: only K columns to project on
    """

    def __init__(self, spread: Float64) -> None:
        lower = np.linalg.cholesky(np.eye(len(spread)) + spread @ spread.T)
        self._reduction = np.linalg.solve(lower, spread).T  # (d, K)

    def squared_distances(self, points: Float64) -> Float64:
        reduced = points @ self._reduction
        return np.asarray(np.einsum("nd,nd->n", points, points) - np.einsum("nk,nk->n", reduced, reduced))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ManyMeans:
    """Distances under I + B = L Lᵀ for a B (d, d) of full rank, or nearly."""

    whitening: Float64  # (d, d), (L⁻¹)ᵀ

    @classmethod
    def of(cls, between: Float64) -> ManyMeans:
        lower = np.linalg.cholesky(np.eye(len(between)) + between)
        return cls(whitening=np.ascontiguousarray(np.linalg.inv(lower).T))

    def squared_distances(self, points: Float64) -> Float64:
        white = times_upper(points.copy(), self.whitening)
        return np.asarray(np.einsum("nd,nd->n", white, white))

    def leading(self, width: int) -> ManyMeans:
        """Under the corner of I + B that belongs to the first features; L is triangular, as in whitening.py."""
        return ManyMeans(whitening=np.ascontiguousarray(self.whitening[:width, :width]))
