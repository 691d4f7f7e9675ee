"""The two numbers a router takes from validation data: where to abstain, and how sure to be.

    threshold t:     the largest with  |{i : s_i >= t}| >= coverage · N
    temperature τ:   argmin  -Σ_i log P(t_i | x_i),   P(t | x) ∝ Σ_{c in t} exp(-d_c² / 2τ)

Temperature scaling: Guo et al., 2017, arXiv:1706.04599, section 4.2; here inside the sum over a task's classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from routing.probability import Integers, task_log_probabilities
from routing.statistics import Float64, FloatArray

_COLDEST, _HOTTEST = 1e-2, 1e4
_GRID = 25  # first look, before the golden section
_TOLERANCE = 1e-3  # of log τ


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
    """The temperature, in [0.01, 10000], under which the true tasks are most likely; 1 where there is one task only.

    Args:
        negative_half_distances: (N, K), -d² / 2 to every class mean, from `CentroidRouter.negative_half_distances`.
        task_of_class: (K,), which task each class belongs to, growing by steps of 0 or 1 from 0.
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
    n_tasks = int(task_of_class.max()) + 1
    if rows and not (0 <= true_task.min() and true_task.max() < n_tasks):
        raise ValueError(f"expected true tasks from 0 to {n_tasks - 1}, got {true_task.min()} to {true_task.max()}")
    if n_tasks == 1 or rows == 0:
        return 1.0
    starts = np.searchsorted(task_of_class, np.arange(n_tasks))

    def loss(log_temperature: float) -> float:
        scores = task_log_probabilities(negative_half_distances / math.exp(log_temperature), starts)
        return -float(scores[np.arange(rows), true_task].mean())

    grid = np.linspace(math.log(_COLDEST), math.log(_HOTTEST), _GRID)
    best = int(np.argmin([loss(point) for point in grid]))
    return math.exp(_golden_section(loss, grid[max(best - 1, 0)], grid[min(best + 1, _GRID - 1)]))


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
