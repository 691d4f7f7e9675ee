"""One covariance from a scatter matrix, taken apart once, so that shrinking it by any share is cheap.

    S / n = V diag(λ) Vᵀ
    Σ_ρ   = (1 - ρ) S / n + ρ λ̄ I = V diag((1 - ρ) λ + ρ λ̄) Vᵀ            λ̄: the mean of λ
    |z - z'|² = (x - x')ᵀ Σ_ρ⁻¹ (x - x')   for   z = ((1 - ρ) λ + ρ λ̄)^(-1/2) · Vᵀ x

The share that needs no validation data is the oracle approximating shrinkage: Chen, Wiesel, Eldar, Hero, 2010,
arXiv:0907.4698, equation 23. It needs tr(S) and tr(S²) only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from routing.statistics import Float64, FloatArray

_SMALLEST_VARIANCE = 1e-10  # relative to the mean variance: a direction without any spread must not divide by zero


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Spectrum:
    """A covariance in the coordinates in which it, and all that is shrunk from it, is diagonal."""

    origin: Float64  # (d,)
    vectors: Float64  # (d, d), V
    variances: Float64  # (d,), λ
    oas: float  # the share ρ, in [0, 1], of the oracle approximating shrinkage

    def coordinates(self, features: FloatArray) -> Float64:
        """(N, d) -> (N, d), Vᵀ (x - origin), in float64"""
        return np.asarray((features - self.origin) @ self.vectors)

    def scales(self, shrinkage: float) -> Float64:
        """(d,): coordinates times these lie in the space where squared distance is the Mahalanobis distance."""
        mean = self.variances.mean()
        shrunk = (1 - shrinkage) * self.variances + shrinkage * mean
        return np.asarray(1 / np.sqrt(np.maximum(shrunk, _SMALLEST_VARIANCE * mean)))


def fit_spectrum(origin: Float64, scatter: Float64, degrees: int) -> Spectrum:
    """The covariance of a scatter of `degrees` degrees of freedom: rows less the means taken off.

    Works with more features than degrees of freedom. A scatter that says nothing, as from classes of one example each,
    gives the identity, and distances stay Euclidean whatever the share.
    """
    width = len(scatter)
    if degrees < 1 or not np.trace(scatter) > 0:
        return Spectrum(origin=origin, vectors=np.eye(width), variances=np.ones(width), oas=1.0)
    covariance = scatter / degrees
    variances, vectors = np.linalg.eigh(covariance)
    return Spectrum(origin=origin, vectors=vectors, variances=variances, oas=oas_shrinkage(covariance, degrees))


def oas_shrinkage(covariance: Float64, degrees: int) -> float:
    """ρ in [0, 1] for a sample covariance (d, d) of `degrees` degrees of freedom; 1 for a multiple of the identity."""
    width = len(covariance)
    trace_of_square = float(np.vdot(covariance, covariance))
    square_of_trace = float(np.trace(covariance)) ** 2
    above = (1 - 2 / width) * trace_of_square + square_of_trace
    below = (degrees + 1 - 2 / width) * (trace_of_square - square_of_trace / width)
    return 1.0 if below <= above else max(0.0, above / below)
