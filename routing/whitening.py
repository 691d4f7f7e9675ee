"""One covariance from a scatter matrix, shrunk, and the space in which it is round.

    Σ_ρ = (1 - ρ) S / n + ρ λ̄ I = L Lᵀ                                     λ̄: the mean variance, tr(S / n) / d
    |z - z'|² = (x - x')ᵀ Σ_ρ⁻¹ (x - x')      for   z = L⁻¹ (x - m₀)

L⁻¹ is lower triangular, so the first w numbers of z depend on the first w features only, and whiten those: a look at fewer
features is the same arithmetic, cut short.

The share ρ that needs no validation data is the oracle approximating shrinkage: Chen, Wiesel, Eldar, Hero, 2010,
arXiv:0907.4698, equation 23. It needs tr(S) and tr(S²) only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg.blas import dtrmm
from scipy.linalg.lapack import dtrtri

from routing.statistics import Float64, FloatArray

# A direction without any spread must not divide by zero, nor by what rounding a scatter to float32 leaves of it.
_LEAST_SHRINKAGE = 1e-4  # that rounding moves no variance by more than d λ̄ / 2²⁴


def times_lower(rows: Float64, lower: Float64) -> Float64:
    """(N, d), (d, d) -> (N, d), x Lᵀ for each row x: half the work of the full product, as only the triangle is read.

    Args:
        rows: given away: the result is made in their place. Row after row in memory, as the matrix, or both are copied.
    """
    return np.asarray(dtrmm(1.0, lower.T, rows.T, lower=0, trans_a=1, overwrite_b=1).T)


def times_upper(rows: Float64, upper: Float64) -> Float64:
    """(N, d), (d, d) -> (N, d), x U for each row x; see `times_lower`."""
    return np.asarray(dtrmm(1.0, upper.T, rows.T, lower=1, overwrite_b=1).T)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Whitening:
    """The way into a space where squared Euclidean distance is the Mahalanobis distance."""

    origin: Float64  # (d,)
    matrix: Float64  # (d, d), L⁻¹

    def apply(self, features: FloatArray) -> Float64:
        """(N, d) -> (N, d), in float64"""
        return times_lower(features - self.origin, self.matrix)

    def leading(self, width: int) -> Whitening:
        """Of the first features alone; gives the first numbers of what this gives."""
        return Whitening(origin=self.origin[:width], matrix=np.ascontiguousarray(self.matrix[:width, :width]))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Covariance:
    """Of rows about the means of their classes, ready to be shrunk by any share."""

    origin: Float64  # (d,)
    matrix: Float64  # (d, d), S / n
    mean_variance: float  # λ̄, of all features, also in `leading`
    oas: float  # the share, in [0, 1], of the oracle approximating shrinkage
    is_known: bool = True  # False, where no row lies beside the mean of its class; then the matrix is the identity

    def whitening(self, share: float) -> Whitening:
        """For this covariance shrunk by `share`, in [0, 1]; a ten-thousandth at least."""
        share = self.share_of(share)
        shrunk = (1 - share) * self.matrix
        shrunk[np.diag_indices(len(shrunk))] += share * self.mean_variance
        inverse, failed = dtrtri(np.linalg.cholesky(shrunk), lower=1)  # what is above the diagonal stays 0
        assert failed == 0  # a Cholesky factor has no zero on its diagonal
        return Whitening(origin=self.origin, matrix=np.ascontiguousarray(inverse))

    def share_of(self, share: float) -> float:
        """By how much it is really shrunk where `share` is asked for."""
        return max(share, _LEAST_SHRINKAGE)

    def leading(self, width: int) -> Covariance:
        """Of the first features alone: shrunk by a share it is the corner of the whole one shrunk by it."""
        return Covariance(
            origin=self.origin[:width],
            matrix=self.matrix[:width, :width],
            mean_variance=self.mean_variance,
            oas=self.oas,
            is_known=self.is_known,
        )


def fit_covariance(origin: Float64, scatter: Float64, degrees: int) -> Covariance:
    """The covariance of a scatter of `degrees` degrees of freedom: rows less the means taken off.

    Works with more features than degrees of freedom. A scatter that says nothing, as from classes of one example each,
    gives the identity, and distances stay Euclidean whatever the share.
    """
    width = len(scatter)
    if degrees < 1 or not np.trace(scatter) > 0:
        return Covariance(origin=origin, matrix=np.eye(width), mean_variance=1.0, oas=1.0, is_known=False)
    covariance = scatter / degrees
    mean_variance = float(np.trace(covariance)) / width
    return Covariance(
        origin=origin, matrix=covariance, mean_variance=mean_variance, oas=oas_shrinkage(covariance, degrees)
    )


def oas_shrinkage(covariance: Float64, degrees: int) -> float:
    """ρ in [0, 1] for a sample covariance (d, d) of `degrees` degrees of freedom; 1 for a multiple of the identity."""
    width = len(covariance)
    trace_of_square = float(np.vdot(covariance, covariance))
    square_of_trace = float(np.trace(covariance)) ** 2
    above = (1 - 2 / width) * trace_of_square + square_of_trace
    below = (degrees + 1 - 2 / width) * (trace_of_square - square_of_trace / width)
    return 1.0 if below <= above else max(0.0, above / below)
