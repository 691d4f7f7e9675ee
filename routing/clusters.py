"""Clusters for a task without classes, so that the router keeps of it what it keeps of any task: counts, means, scatter.

    p(x) = Σ_j π_j N(x; m_j, Σ)        j = 1 .. k by k-means, π_j = n_j / n, Σ their shared covariance, shrunk by OAS
    k    = the smallest with  mean_h log p_best(h) - log p_k(h)  <=  its standard error over the held-out rows h

All of it happens in at most 64 principal directions, lengths as they are. Whitening all rows would make every direction
count alike, and k-means then finds nothing; in all 1,152 directions the likelihood is mostly that of noise.
k-means++: Arthur and Vassilvitskii, 2007. What it is worth: docs/decisions/0009-tasks-without-classes.md.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import numpy as np
from sklearn.cluster import KMeans  # type: ignore[import-untyped]
from sklearn.exceptions import ConvergenceWarning  # type: ignore[import-untyped]

from routing.distance import squared_distances
from routing.statistics import Float64, FloatArray, Int64, check_features, summarise
from routing.whitening import fit_covariance

COUNTS = (1, 2, 4, 8, 16, 32)
_DIRECTIONS = 64  # at most
_NARROWEST = 0.01  # of the widest one's variance; shrinkage drowns narrower ones, the more the fewer clusters there are
_STARTS = 4  # of k-means; the best of them counts
_FEWEST_HELD_OUT = 2  # one row has no standard error
_ROWS_A_CLUSTER = 5  # on average; the mean of fewer is mostly chance
_LEAST_VARIANCE = 1e-6  # of the mean variance: clusters of copies have none of their own


def choose_clusters(
    features: FloatArray, held_out: FloatArray, *, counts: Sequence[int] = COUNTS, seed: int = 0
) -> Int64:
    """The cluster (N,) of each row, from 0 to k - 1; each of them occurs. The same rows and seed give the same clusters.

    `summarise(features, clusters, clusters.max() + 1)` then gives what the router keeps.

    Args:
        features: (N, d), one row or more.
        held_out: (M, d), rows to choose k on. With fewer than 2, a tenth of the features is set aside instead, and where
            that is fewer than 2 rows too, there is one cluster.
        counts: the numbers of clusters to try. Those above a fifth of the rows, or above the number of different rows,
            are left out; where none is left, there is one cluster.

    Raises:
        ValueError: features that are not (N, d) and finite, no row, or counts that are not 1 or more each.
    """
    check_features(features)
    check_features(held_out, features.shape[1])
    if len(features) == 0:
        raise ValueError("expected one row or more to find clusters in, got none")
    if not counts or min(counts) < 1:
        raise ValueError(f"expected numbers of clusters of 1 or more, got {tuple(counts)}")
    learnt, judged = (features, held_out) if len(held_out) >= _FEWEST_HELD_OUT else _set_aside(features, seed)
    most = min(len(learnt) // _ROWS_A_CLUSTER, len({row.tobytes() for row in learnt}))
    fitting = sorted({count for count in counts if count <= most})
    if not fitting or fitting == [1] or len(judged) < _FEWEST_HELD_OUT:
        return np.zeros(len(features), dtype=np.int64)
    origin, directions = _principal_directions(learnt)
    points, learnt_points, judged_points = ((rows - origin) @ directions for rows in (features, learnt, judged))
    return _k_means(points, _choose_count(learnt_points, judged_points, fitting, seed), seed)


def _set_aside(features: FloatArray, seed: int) -> tuple[FloatArray, FloatArray]:
    """Nine tenths of the rows, and the others."""
    order = np.random.default_rng(seed).permutation(len(features))
    aside = len(features) // 10
    return features[np.sort(order[aside:])], features[np.sort(order[:aside])]


def _principal_directions(features: FloatArray) -> tuple[Float64, Float64]:
    """The mean (d,), and the directions (d, p) in which the rows differ most, of unit length."""
    origin = features.mean(axis=0, dtype=np.float64)
    centred = features - origin
    variances, vectors = np.linalg.eigh(centred.T @ centred)  # the widest come last
    kept = min(_DIRECTIONS, int((variances > _NARROWEST * variances[-1]).sum()))
    return origin, vectors[:, -kept:]


def _choose_count(learnt: Float64, judged: Float64, counts: Sequence[int], seed: int) -> int:
    """The smallest of these numbers, growing, that the held-out rows cannot tell from the best."""
    likelihoods = [_log_likelihood(learnt, _k_means(learnt, count, seed), judged) for count in counts]
    best = max(likelihoods, key=np.mean)
    for count, likelihood in zip(counts, likelihoods, strict=True):
        gaps = best - likelihood
        if gaps.mean() <= gaps.std(ddof=1) / math.sqrt(len(gaps)):
            return count
    raise AssertionError("the best is within noise of itself")


def _log_likelihood(learnt: Float64, clusters: Int64, judged: Float64) -> Float64:
    """(M,), log p of each row (M, p) under the mixture of these clusters, less a constant that all mixtures share."""
    number = int(clusters.max()) + 1
    centroids, scatter = summarise(learnt, clusters, number)
    degrees = len(learnt) - number
    least = degrees * _LEAST_VARIANCE * learnt.var(axis=0).mean() * np.eye(len(scatter))
    covariance = fit_covariance(np.zeros(len(scatter)), scatter + least, degrees)
    whitening = covariance.whitening(covariance.oas)
    distances = squared_distances(whitening.apply(judged), whitening.apply(centroids.means))  # (M, k)
    log_determinant = float(np.log(np.diag(whitening.matrix)).sum())  # of L⁻¹: -½ log |Σ|
    log_joint = np.log(centroids.counts / len(learnt)) - distances / 2
    return np.asarray(np.logaddexp.reduce(log_joint, axis=1) + log_determinant)


def _k_means(points: Float64, number: int, seed: int) -> Int64:
    """(N,), from 0, without gaps: fewer clusters than asked for where too many points coincide."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # that fewer were found is seen in the answer
        labels = KMeans(number, n_init=_STARTS, random_state=seed).fit(points).labels_
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)
