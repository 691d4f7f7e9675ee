"""One shrunken covariance from a scatter matrix, and the linear map that makes it the identity.

    Σ = (1 - ρ) S / n + ρ (tr(S / n) / d) I          ρ: the oracle approximating shrinkage
    W = Σ^(-1/2),   so that |W x - W y|² is the Mahalanobis distance (x - y)ᵀ Σ⁻¹ (x - y)

Source of ρ: Chen, Wiesel, Eldar, Hero, 2010, arXiv:0907.4698, equation 23. It needs tr(S) and tr(S²) only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from routing.statistics import Float64, FloatArray

_SMALLEST_VARIANCE = 1e-10  # relative to the mean variance: a direction without any spread must not divide by zero


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Whitening:
    """x -> W (x - origin): the space in which squared Euclidean distance is the Mahalanobis distance."""

    origin: Float64  # (d,)
    matrix: Float64  # (d, d), symmetric
    shrinkage: float  # ρ in [0, 1]

    def apply(self, features: FloatArray) -> Float64:
        """(N, d) -> (N, d) in float64"""
        return np.asarray((features - self.origin) @ self.matrix)


def fit_whitening(origin: Float64, scatter: Float64, degrees: int) -> Whitening:
    """The whitening by a scatter of `degrees` degrees of freedom: rows less the means taken off.

    Works with more features than degrees of freedom. A scatter that says nothing, as from classes of one example each,
    gives the identity, and distances stay Euclidean.
    """
    width = len(scatter)
    if degrees < 1 or not np.trace(scatter) > 0:
        return Whitening(origin=origin, matrix=np.eye(width), shrinkage=1.0)
    covariance = scatter / degrees
    mean_variance = float(np.trace(covariance)) / width
    shrinkage = oas_shrinkage(covariance, degrees)
    values, vectors = np.linalg.eigh(covariance)
    shrunk = (1 - shrinkage) * values + shrinkage * mean_variance  # the eigenvectors stay the same
    scale = 1 / np.sqrt(np.maximum(shrunk, _SMALLEST_VARIANCE * mean_variance))
    return Whitening(origin=origin, matrix=(vectors * scale) @ vectors.T, shrinkage=shrinkage)


def oas_shrinkage(covariance: Float64, degrees: int) -> float:
    """ρ in [0, 1] for a sample covariance (d, d) of `degrees` degrees of freedom; 1 for a multiple of the identity."""
    width = len(covariance)
    trace_of_square = float(np.vdot(covariance, covariance))
    square_of_trace = float(np.trace(covariance)) ** 2
    above = (1 - 2 / width) * trace_of_square + square_of_trace
    below = (degrees + 1 - 2 / width) * (trace_of_square - square_of_trace / width)
    return 1.0 if below <= above else max(0.0, above / below)
