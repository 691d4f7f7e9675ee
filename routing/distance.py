"""Squared Euclidean distances, all at once: |q - m|² = |q|² + |m|² - 2 q·m, one matrix product, no (N, K, d) difference."""

from __future__ import annotations

import numpy as np

from routing.statistics import Float64


def squared_distances(queries: Float64, means: Float64) -> Float64:
    """(N, d), (K, d) -> (N, K), each 0 or more"""
    squares = np.einsum("nd,nd->n", queries, queries)[:, None] + np.einsum("kd,kd->k", means, means)
    return np.asarray(np.maximum(squares - 2 * (queries @ means.T), 0.0))
