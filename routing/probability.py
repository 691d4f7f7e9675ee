"""P(task | x) from distances to class means: a softmax over classes, summed over the classes of each task.

    P(t | x) = Σ_{c in t} exp(-d_c² / 2τ)  /  Σ_c exp(-d_c² / 2τ)        τ: the temperature

With τ = 1 this is the posterior of Gaussian classes of one covariance and equal priors.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from routing.statistics import Float64

Integers = npt.NDArray[np.integer]


def log_softmax(scores: Float64) -> Float64:
    """(N, K) -> (N, K); a score of -inf stays -inf, unless a whole row is."""
    shifted = scores - scores.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def task_log_probabilities(class_scores: Float64, starts: Integers) -> Float64:
    """log P(task | x), (N, T), when the scores (N, K) of all classes are known.

    Args:
        class_scores: -d² / 2τ; the classes of a task stand side by side.
        starts: (T,), the column at which each task begins, growing.
    """
    classes = class_scores.shape[1]
    best = np.maximum.reduceat(class_scores, starts, axis=1)  # (N, T)
    task_of_class = np.repeat(np.arange(len(starts)), np.diff([*starts, classes]))
    sums = np.add.reduceat(np.exp(class_scores - best[:, task_of_class]), starts, axis=1)
    return log_softmax(best + np.log(sums))


def task_log_probabilities_of_nearest(class_scores: Float64, tasks: Integers, n_tasks: int) -> Float64:
    """log P(task | x), (N, T), when only each row's nearest classes are known; -inf for a task with none of them.

    Args:
        class_scores: (N, k), -d² / 2τ.
        tasks: (N, k), the task, 0 to n_tasks - 1, of each of those classes.
    """
    rows = np.arange(len(class_scores))[:, None]
    best = np.full((len(class_scores), n_tasks), -np.inf)
    np.maximum.at(best, (rows, tasks), class_scores)
    sums = np.zeros_like(best)
    np.add.at(sums, (rows, tasks), np.exp(class_scores - best[rows, tasks]))
    with np.errstate(divide="ignore"):  # log 0 = -inf is what a task without a near class gets
        return log_softmax(np.where(sums > 0, best, 0) + np.log(sums))
