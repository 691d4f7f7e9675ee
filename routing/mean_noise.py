"""How far off a class mean is that was made of few rows, and what is therefore taken off its distances.

    E |z - w_c|² = |z - μ_c|² + s² / n_c        w_c: the whitened mean of n_c rows, for the true one μ_c
    d_c² = |z - w_c|² + s² (1 / n₀ - 1 / n_c)   n₀: the rows of the largest class
    s² = tr(W Σ Wᵀ)                             Σ: the covariance within classes, W: the whitening, of Σ shrunk by ρ
       = (d - ρ λ̄ |W|²) / (1 - ρ)               as W Σ_ρ Wᵀ = I; |W|² is the sum of its squares

Without it classes of few rows seem farther away than they are. Where all have as many rows nothing is taken off. The constant
s² / n₀ is the same for all classes, so no choice depends on it.

An index that finds the nearest by faiss keeps √(s² (1 - 1 / n_c)), the height, as one more coordinate of a mean; a query has
0 there. Why, in numbers: docs/decisions/0004-router.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from routing.statistics import Float64, Int64
from routing.whitening import Covariance, Whitening

_NEARLY_ALL = 0.95  # shrinkage from which the difference above loses digits


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanNoise:
    """Of the class means in one space."""

    variance: float  # s², the squared distance of a row from the mean of its class; 0 where nothing is known of it
    largest: int  # n₀, 1 or more

    @classmethod
    def of(cls, covariance: Covariance, whitening: Whitening, shrinkage: float, counts: Int64) -> MeanNoise:
        """Of classes of so many rows (K,), one class or more, under the whitening of that covariance shrunk so far."""
        return cls(variance=_variance(covariance, whitening, shrinkage), largest=int(counts.max()))

    def corrections(self, counts: Int64) -> Float64:
        """(K,), to be added to squared distances of the means of so many rows (K,)."""
        return np.asarray(self.variance * (1 / self.largest - 1 / counts))

    def lifted(self, means: npt.NDArray[np.floating], counts: Int64) -> npt.NDArray[np.floating]:
        """(K, d) -> (K, d + 1): the means with their heights."""
        return np.column_stack([means, np.sqrt(self.variance * (1 - 1 / counts)).astype(means.dtype)])

    @property
    def ground(self) -> float:
        """By how much the squared distance of a lifted mean is more than the corrected one."""
        return self.variance * (1 - 1 / self.largest)


NO_NOISE = MeanNoise(variance=0.0, largest=1)


def level(queries: Float64) -> Float64:
    """(N, d) -> (N, d + 1): queries to be held against lifted means."""
    return np.column_stack([queries, np.zeros(len(queries))])


def _variance(covariance: Covariance, whitening: Whitening, shrinkage: float) -> float:
    if not covariance.is_known:
        return 0.0
    matrix, share = whitening.matrix, covariance.share_of(shrinkage)
    if share > _NEARLY_ALL:
        return float(np.vdot(matrix @ covariance.matrix, matrix))
    squares = float(np.vdot(matrix, matrix))
    return max(0.0, (len(matrix) - share * covariance.mean_variance * squares) / (1 - share))
