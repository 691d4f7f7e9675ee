"""What a router takes from validation data: where to abstain, how sure to be, how far to shrink the covariance.

    threshold t:     the largest with  |{i : s_i >= t}| >= coverage · N
    temperature τ:   argmin  L(τ) = -Σ_i log P(t_i | x_i),   P(t | x) ∝ Σ_{c in t} exp(-d_c² / 2τ)
    shrinkage ρ:     argmin  min_τ L(τ) with the distances d_c of the covariance shrunk by ρ
    own share a:     argmin  min_τ L(τ) with that and the distances of own.py

Temperature scaling: Guo et al., 2017, arXiv:1706.04599, section 4.2; here inside the sum over a task's classes.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from routing.neighbours import FEW
from routing.router import Calibration, CentroidRouter, covariance_of
from routing.space import ExactSpace
from routing.statistics import Centroids, Float64, FloatArray, Int64, Totals

SHRINKAGES = (0.03, 0.1, 0.3, 0.8)  # tried beside the one that needs no validation data
OWN_SHARES = (0.0, 0.05, 0.1, 0.2)  # tried of a task's own covariance
FEWEST_ROWS = 50  # below, validation data is too little to choose a setting by
MOST_ROWS = 2000  # of validation data, over all tasks
MOST_ROWS_OF_MANY = 1000  # where the space is kept; then as many tasks have a say at most
CLASSES_TRIED = 2000  # between which the shrinkage of very many is chosen
_SHARPENING_ROWS = 1000  # of them, to choose shrinkage and temperature by: every share whitens them anew
_MOST_DISTANCES = 4_000_000  # rows times classes: fewer rows are looked at where classes are very many
_SEED = 0
_LEAST_CHANCE = 1e-9  # of a true task that no class near the row belongs to
_NO_DIFFERENCE = 1e-4  # of the loss, in nats a row: such shares are equally good

_COLDEST, _HOTTEST = 1.0, 1e4  # distances in many dimensions are too sure of themselves, never too modest
_GRID = 25  # first look, before the golden section
_TOLERANCE = 1e-3  # of log τ

Mask = npt.NDArray[np.bool_]


def calibrate(router: CentroidRouter, validation: Sequence[FloatArray], coverage: float) -> Calibration:
    """The best settings for a router that stands alone, whatever its own are.

    Args:
        validation: the features (N_t, d) of every task's validation rows, in the router's order; N_t may be 0. At most
            about `MOST_ROWS` of them are used, as equally many a task as there are.
        coverage: the share of those rows that the threshold keeps.
    """
    some = rows_for(router, validation)
    sharp, features = sharpened(router, some), np.concatenate(some)
    threshold = choose_threshold(sharp.in_scope_scores(features), coverage) if len(features) else -math.inf
    return replace(sharp.settings, threshold=threshold)


def sharpened(router: CentroidRouter, validation: Sequence[FloatArray]) -> CentroidRouter:
    """The router with shrinkage, own share and temperature chosen on these rows. It abstains from nothing.

    Tried are the share of the covariance itself and `SHRINKAGES`, then `OWN_SHARES`; of equally good ones the smallest
    wins. With fewer than `FEWEST_ROWS` rows, or one task only, shrinkage is the covariance's own and no task has another.
    That of a kept space stays as it is.
    """
    best = _well_shrunk(router, validation)
    features, true_task = _sharpening_rows(validation)
    is_enough = len(features) >= FEWEST_ROWS and len(router.tasks) > 1
    own_shares = OWN_SHARES if router.may_own and is_enough else (0.0,)
    return _likeliest(
        best, [_bare(best.settings.shrinkage, own_share) for own_share in own_shares], features, true_task
    )


def _well_shrunk(router: CentroidRouter, validation: Sequence[FloatArray]) -> CentroidRouter:
    """The router with shrinkage and temperature chosen, and no task with a covariance of its own."""
    features, true_task = _sharpening_rows(validation)
    shrinkages = sorted({router.covariance.oas, *SHRINKAGES})
    if len(features) < FEWEST_ROWS or len(router.tasks) == 1:
        shrinkages = [router.covariance.oas]
    if router.is_kept:
        shrinkages = [router.settings.shrinkage]
    return _likeliest(router, [_bare(shrinkage, 0.0) for shrinkage in shrinkages], features, true_task)


def _sharpening_rows(validation: Sequence[FloatArray]) -> tuple[FloatArray, Int64]:
    return pooled([rows[some] for rows, some in _some_of_each(validation, _SHARPENING_ROWS)])


def choose_shrinkage(totals: Totals, tasks: Mapping[str, Centroids], validation: Sequence[FloatArray]) -> float:
    """The shrinkage for a router of very many classes: that which is best between some of its tasks.

    To try them all on all classes would fit as many large spaces. So the newest task and others drawn with a fixed seed
    are routed between, under the covariance of all.

    Args:
        totals: of all tasks.
        tasks: all of them; only those drawn are asked for.
        validation: features (N_t, d) of every task's validation rows, in that order.
    """
    names, covariance = list(tasks), covariance_of(totals)
    some: list[int] = []
    classes = 0
    for number in _newest_first(len(names)):
        size = len(tasks[names[number]].counts)
        if len(some) >= 2 and classes + size > CLASSES_TRIED:
            break
        some.append(number)
        classes += size
    some.sort()
    drawn = {names[number]: tasks[names[number]] for number in some}
    space = ExactSpace.of(covariance, list(drawn.values()), covariance.oas, FEW)
    router = CentroidRouter(totals, drawn, space=space)
    return _well_shrunk(router, [validation[number] for number in some]).settings.shrinkage


def choose_temperature(router: CentroidRouter, features: FloatArray, true_task: Int64) -> float:
    """The temperature, in [1, 10000], under which the true tasks (N,) are most likely; 1 for one task or no row.

    Raises:
        ValueError: a true task that the router does not know.
    """
    unknown = np.setdiff1d(true_task, np.arange(len(router.tasks)))
    if len(unknown):
        raise ValueError(f"expected true tasks from 0 to {len(router.tasks) - 1}, got {unknown[0]}")
    if len(router.tasks) == 1 or not len(features):
        return 1.0
    return _fitted(router, router.whitened(features), true_task).temperature


def _bare(shrinkage: float, own_share: float) -> Calibration:
    return Calibration(threshold=-math.inf, temperature=1.0, shrinkage=shrinkage, own_share=own_share)


def _likeliest(
    router: CentroidRouter, candidates: Sequence[Calibration], features: FloatArray, true_task: Int64
) -> CentroidRouter:
    """The router under the first of these settings that is as good as any, at its best temperature."""
    routers = [router.calibrated(settings) for settings in candidates]
    if len(router.tasks) == 1 or not len(features):
        return routers[0]
    points: dict[float, Float64] = {}  # by shrinkage: own shares move no point
    for one in routers:
        if one.settings.shrinkage not in points:
            points[one.settings.shrinkage] = one.whitened(features)
    fits = [_fitted(one, points[one.settings.shrinkage], true_task) for one in routers]
    least = min(fit.loss for fit in fits)
    best = next(number for number, fit in enumerate(fits) if fit.loss <= least + _NO_DIFFERENCE)
    return routers[best].at_temperature(fits[best].temperature)


def _fitted(router: CentroidRouter, points: Float64, true_task: Int64) -> _Fit:
    """The temperature for whitened rows (N, d)."""
    near = router.class_distances(points)
    return _fit_temperature(near.squared_distances / -2, router.task_of_class[near.columns] == true_task[:, None])


def rows_for(router: CentroidRouter, validation: Sequence[FloatArray]) -> list[FloatArray]:
    """Those of every task's validation rows (N_t, d) that this router is calibrated on."""
    return rows_of_many(validation) if router.is_kept else rows_to_look_at(validation, len(router.task_of_class))


def rows_to_look_at(validation: Sequence[FloatArray], n_classes: int) -> list[FloatArray]:
    """Of every task's validation rows (N_t, d) at most about `MOST_ROWS` in all; fewer where classes are very many."""
    most = max(1, min(MOST_ROWS, _MOST_DISTANCES // n_classes))
    return [rows[some] for rows, some in _some_of_each(validation, most)]


def rows_of_many(validation: Sequence[FloatArray]) -> list[FloatArray]:
    """Of every task's validation rows (N_t, d) at most `MOST_ROWS_OF_MANY` in all, however many tasks there are.

    Where they are more than that, as many are drawn with a fixed seed, the newest among them; of the others no row.
    """
    drawn = set([number for number in _newest_first(len(validation)) if len(validation[number])][:MOST_ROWS_OF_MANY])
    rows = [one if number in drawn else one[:0] for number, one in enumerate(validation)]
    return [one[some] for one, some in _some_of_each(rows, MOST_ROWS_OF_MANY)]


def _newest_first(count: int) -> list[int]:
    """The numbers of so many tasks: the last, then the others as a fixed seed draws them."""
    others: list[int] = np.random.default_rng(_SEED).permutation(count - 1).tolist()
    return [count - 1, *others]


def _some_of_each(validation: Sequence[FloatArray], most: int) -> list[tuple[FloatArray, Int64]]:
    return list(zip(validation, sample_evenly([len(rows) for rows in validation], most), strict=True))


def pooled(by_task: Sequence[FloatArray]) -> tuple[FloatArray, Int64]:
    """All rows (N, d) under each other, and the number of the task of each (N,)."""
    return np.concatenate(by_task), np.repeat(np.arange(len(by_task)), [len(rows) for rows in by_task])


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
        return -float(np.log(np.maximum(share, _LEAST_CHANCE)).mean())

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
