"""What a router takes from validation data: where to abstain, how sure to be, how far to shrink the covariance.

    threshold t:     the largest with  |{i : s_i >= t}| >= coverage · N
    temperature τ:   argmin  L(τ) = -Σ_i log P(t_i | x_i),   P(t | x) ∝ Σ_{c in t} exp(-d_c² / 2τ)
    shrinkage ρ:     argmin  min_τ L(τ) with the distances d_c of the covariance shrunk by ρ

Temperature scaling: Guo et al., 2017, arXiv:1706.04599, section 4.2; here inside the sum over a task's classes.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from routing.neighbours import NEAREST
from routing.probability import Integers
from routing.router import Calibration, CentroidRouter
from routing.statistics import Float64, FloatArray, Int64
from routing.whitening import Spectrum

SHARES = (0.03, 0.1, 0.2, 0.3, 0.5, 0.8)  # tried beside the one that needs no validation data
FEWEST_ROWS = 50  # below, validation data is too little to choose a share by
MOST_ROWS = 3000  # of validation data, over all tasks
_MOST_DISTANCES = 4_000_000  # rows times classes: fewer rows are looked at where there are very many classes
_SEED = 0
_NO_DIFFERENCE = 1e-4  # of the loss, in nats a row: such shares are equally good

_COLDEST, _HOTTEST = 1.0, 1e4  # distances in many dimensions are too sure of themselves, never too modest
_GRID = 25  # first look, before the golden section
_TOLERANCE = 1e-3  # of log τ
_ROWS_AT_ONCE = 64  # bounds the memory of (rows, classes, d)

Mask = npt.NDArray[np.bool_]


def calibrate(router: CentroidRouter, validation: Sequence[FloatArray], coverage: float) -> Calibration:
    """The best settings for a router, whatever its own are.

    Args:
        validation: the features (N_t, d) of every task's validation rows, in the router's order; N_t may be 0. At most
            about `MOST_ROWS` of them are used, as equally many a task as there are.
        coverage: the share of those rows that the threshold keeps.
    """
    most = max(1, min(MOST_ROWS, _MOST_DISTANCES // len(router.task_of_class)))
    chosen = sample_evenly([len(rows) for rows in validation], most)
    used = [rows[some] for rows, some in zip(validation, chosen, strict=True)]
    features, true_task = np.concatenate(used), np.repeat(np.arange(len(used)), [len(rows) for rows in used])
    if not len(features):
        return Calibration(threshold=-math.inf, temperature=1.0, shrinkage=router.spectrum.oas)
    sharpness = choose_shrinkage(router.spectrum, router.class_coordinates, features, router.task_of_class, true_task)
    threshold = choose_threshold(router.in_scope_scores(features), coverage)
    return Calibration(threshold=threshold, temperature=sharpness.temperature, shrinkage=sharpness.shrinkage)


def sample_evenly(sizes: Sequence[int], most: int) -> list[Int64]:
    """For groups of these sizes, the numbers of some rows of each, rising: as equally many a group as there are.

    At most `most` rows over all groups, but one at least of each group that has any. The choice depends neither on
    chance nor on the order of the groups.
    """
    quota = max(1, bisect.bisect_right(range(1, most + 1), most, key=lambda q: sum(min(size, q) for size in sizes)))
    return [np.sort(np.random.default_rng(_SEED).permutation(size)[:quota]) for size in sizes]


def choose_threshold(in_scope_scores: FloatArray, coverage: float = 0.95) -> float:
    """The largest threshold that keeps at least this share of the scores; a score equal to it is kept.

    Raises:
        ValueError: coverage outside (0, 1], no scores, or scores that are not finite.
    """
    if not 0 < coverage <= 1:
        raise ValueError(f"coverage must be above 0 and at most 1, got {coverage}")
    if in_scope_scores.ndim != 1 or len(in_scope_scores) == 0 or not np.isfinite(in_scope_scores).all():
        raise ValueError(f"expected (N,) finite in-scope scores of one row or more, got {in_scope_scores.shape}")
    kept = math.ceil(coverage * len(in_scope_scores) - 1e-9)  # 0.07 * 100 is a little more than 7
    return float(np.sort(in_scope_scores)[-max(kept, 1)])


def choose_temperature(negative_half_distances: Float64, task_of_class: Integers, true_task: Integers) -> float:
    """The temperature, in [1, 10000], under which the true tasks are most likely; 1 where there is one task only.

    Args:
        negative_half_distances: (N, K), -d² / 2 to every class mean, from `CentroidRouter.negative_half_distances`.
        task_of_class: (K,), the number of the task that each class belongs to.
        true_task: (N,).

    Raises:
        ValueError: shapes that do not agree, or a true task that has no class.
    """
    rows, classes = negative_half_distances.shape
    if task_of_class.shape != (classes,) or true_task.shape != (rows,):
        raise ValueError(
            f"expected ({classes},) tasks of classes and ({rows},) true tasks, "
            f"got {task_of_class.shape} and {true_task.shape}"
        )
    _check_true_tasks(task_of_class, true_task)
    if rows == 0 or len(np.unique(task_of_class)) == 1:
        return 1.0
    return _fit_temperature(negative_half_distances, task_of_class == true_task[:, None]).temperature


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharpness:
    """How distances become probabilities."""

    shrinkage: float  # share, of the shared covariance
    temperature: float


def choose_shrinkage(
    spectrum: Spectrum, class_coordinates: Float64, features: FloatArray, task_of_class: Integers, true_task: Integers
) -> Sharpness:
    """The share of shrinkage under which the true tasks are most likely, with the temperature that goes with it.

    Tried are the share of the spectrum itself and `SHARES`; of equally good ones the smallest wins. With fewer than
    `FEWEST_ROWS` rows, or one task only, the spectrum's own share stays. Of more classes than `NEAREST`, only a row's
    nearest under the spectrum's own share and the nearest of its true task are looked at.

    Args:
        class_coordinates: (K, d), the class means in the spectrum's coordinates.
        features: (N, d), one row or more.
        task_of_class: (K,), the number of the task that each class belongs to.
        true_task: (N,).

    Raises:
        ValueError: a true task that has no class.
    """
    _check_true_tasks(task_of_class, true_task)
    if len(np.unique(task_of_class)) == 1:
        return Sharpness(shrinkage=spectrum.oas, temperature=1.0)
    own_only = len(features) < FEWEST_ROWS
    shares = [spectrum.oas] if own_only else sorted({spectrum.oas, *SHARES})
    scales = np.stack([spectrum.scales(share) for share in shares], axis=1)  # (d, S)
    points = spectrum.coordinates(features)
    columns = _near_columns(points, class_coordinates, spectrum.scales(spectrum.oas), task_of_class, true_task)
    own = task_of_class[columns] == true_task[:, None]
    distances = _squared_distances(points, class_coordinates, columns, scales)  # (S, N, k)
    fits = [_fit_temperature(one / -2, own) for one in distances]
    least = min(fit.loss for fit in fits)
    best = next(number for number, fit in enumerate(fits) if fit.loss <= least + _NO_DIFFERENCE)
    return Sharpness(shrinkage=shares[best], temperature=fits[best].temperature)


def _check_true_tasks(task_of_class: Integers, true_task: Integers) -> None:
    unknown = np.setdiff1d(true_task, task_of_class)
    if len(unknown):
        raise ValueError(
            f"expected true tasks from {task_of_class.min()} to {task_of_class.max()}, "
            f"got {true_task.min()} to {true_task.max()}"
        )


def _near_columns(
    points: Float64, means: Float64, scales: Float64, task_of_class: Integers, true_task: Integers
) -> Int64:
    """(N, k): for each row its nearest classes and the nearest of its own task; all while they are few."""
    kept = min(NEAREST, len(means))
    white_means = (means * scales).astype(np.float32)
    half_norms = np.einsum("kd,kd->k", white_means, white_means) / 2
    found = [np.empty((0, kept), dtype=np.int64)]
    for start in range(0, len(points), 8 * _ROWS_AT_ONCE):
        some = slice(start, start + 8 * _ROWS_AT_ONCE)
        farness = half_norms - (points[some] * scales).astype(np.float32) @ white_means.T  # (n, K), as distances rank
        of_others = task_of_class != true_task[some, None]
        nearest_own = np.where(of_others, np.inf, farness).argmin(axis=1)
        farness[np.arange(len(farness)), nearest_own] = -np.inf  # in any case
        found.append(np.argpartition(farness, kept - 1, axis=1)[:, :kept])
    return np.concatenate(found)


def _squared_distances(points: Float64, means: Float64, columns: Int64, scales: Float64) -> Float64:
    """(S, N, k): from each row (N, d) to its class means (N, k), under each of the scales (d, S)."""
    weights = (scales**2).astype(np.float32)
    means = means.astype(np.float32)
    distances = np.empty((scales.shape[1], *columns.shape))
    for start in range(0, len(points), _ROWS_AT_ONCE):
        some = slice(start, start + _ROWS_AT_ONCE)
        gaps = points[some, None, :].astype(np.float32) - means[columns[some]]  # (n, k, d)
        distances[:, some] = np.moveaxis(np.square(gaps, out=gaps) @ weights, 2, 0)
    return distances


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fit:
    temperature: float
    loss: float  # mean of -log P(true task), nats


def _fit_temperature(scores: Float64, own: Mask) -> _Fit:
    """The temperature for scores (N, k), where `own` marks the classes of each row's true task."""
    below_best = scores - scores.max(axis=1, keepdims=True)

    def loss(log_temperature: float) -> float:
        weights = np.exp(below_best / math.exp(log_temperature))
        share = np.einsum("nk,nk->n", weights, own) / weights.sum(axis=1)
        return -float(np.log(np.maximum(share, np.finfo(np.float64).tiny)).mean())  # exp may have come to 0

    grid = np.linspace(math.log(_COLDEST), math.log(_HOTTEST), _GRID)
    best = int(np.argmin([loss(point) for point in grid]))
    found = _golden_section(loss, grid[max(best - 1, 0)], grid[min(best + 1, _GRID - 1)])
    return _Fit(temperature=math.exp(found), loss=loss(found))


def _golden_section(loss: Callable[[float], float], low: float, high: float) -> float:
    """Where a function with one minimum between `low` and `high` has it."""
    ratio = (math.sqrt(5) - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = loss(left), loss(right)
    while high - low > _TOLERANCE:
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = loss(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = loss(right)
    return (low + high) / 2
