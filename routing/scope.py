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

import numpy as np

from routing.neighbours import ClassIndex
from routing.statistics import Float64, FloatArray, Int64
from routing.whitening import Covariance, Whitening

SHRINKAGE = 0.5  # of Σ_w, for this score only; see the table above
BACKGROUND_FACTOR = 1.2  # how much wider than Σ_w + Σ_b the background is


class Scope:
    """The in-scope score of a portfolio. Never changes once it is made."""

    def __init__(self, whitening: Whitening, means: Float64, counts: Int64, few: int) -> None:
        """
        Args:
            whitening: of Σ_w shrunk by SHRINKAGE, its origin the mean m₀ of all examples.
            means: (K, d), of the classes, in that space.
            counts: (K,), the examples of each class.
            few: up to how many class means are searched exhaustively.
        """
        self._whitening = whitening
        self._means = means
        self._counts = counts
        self._few = few
        self._index = ClassIndex(means, few=few)
        spread = means * np.sqrt(counts / counts.sum())[:, None]  # AᵀA = Σ_b, where Σ_w is the identity
        self._background = _FewMeans(spread) if len(means) < means.shape[1] else _ManyMeans(spread.T @ spread)

    @classmethod
    def of(cls, covariance: Covariance, means: Float64, counts: Int64, few: int) -> Scope:
        """Args: means: (K, d), of the classes, as features."""
        whitening = covariance.whitening(SHRINKAGE)
        return cls(whitening, whitening.apply(means), counts, few)

    def leading(self, width: int) -> Scope:
        """The same judged by the first features alone."""
        return Scope(self._whitening.leading(width), self._means[:, :width], self._counts, self._few)

    def scores(self, features: FloatArray, columns: Int64) -> Float64:
        """(N, d) -> (N,), the nearest class looked for among these class means."""
        points = self._whitening.apply(features)
        nearest = self._index.look(points, columns, nearest=1).squared_distances.min(axis=1)
        return np.asarray(self._background.squared_distances(points) / BACKGROUND_FACTOR - nearest)


class _FewMeans:
    """Distances under I + AᵀA for an A (K, d) of fewer rows than columns.

    (I + AᵀA)⁻¹ = I - Aᵀ (I + AAᵀ)⁻¹ A         Woodbury's identity: only K columns to project on
    """

    def __init__(self, spread: Float64) -> None:
        lower = np.linalg.cholesky(np.eye(len(spread)) + spread @ spread.T)
        self._reduction = np.linalg.solve(lower, spread).T  # (d, K)

    def squared_distances(self, points: Float64) -> Float64:
        reduced = points @ self._reduction
        return np.asarray(np.einsum("nd,nd->n", points, points) - np.einsum("nk,nk->n", reduced, reduced))


class _ManyMeans:
    """Distances under I + B for a B (d, d) of full rank, or nearly."""

    def __init__(self, between: Float64) -> None:
        lower = np.linalg.cholesky(np.eye(len(between)) + between)
        self._whitening = np.linalg.inv(lower).T  # (d, d)

    def squared_distances(self, points: Float64) -> Float64:
        white = points @ self._whitening
        return np.asarray(np.einsum("nd,nd->n", white, white))
