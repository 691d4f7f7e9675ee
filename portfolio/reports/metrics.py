"""Figures read off a results matrix R, where R[i, j] is the score on task j after task i was added.

R is (T, T), rows and columns in the order in which tasks were added, counted from 0; NaN stands where a score was not
measured. A NaN is never counted, neither as 0 nor as a task: a mean goes over what was measured, and is None where
nothing was, or where the figure is not defined (BWT, forgetting and FWT need two tasks).

Sources: Lopez-Paz and Ranzato, 2017, arXiv:1706.08840, section 2 (average accuracy, BWT, FWT);
Chaudhry et al., 2018, arXiv:1801.10112, section 3 (forgetting); Rebuffi et al., 2017, arXiv:1611.07725, section 4
(average incremental accuracy); Riemer et al., 2019, arXiv:1810.11910 (plasticity, there called learning accuracy).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from portfolio.errors import DataError

Array = npt.NDArray[np.float64]


def average_accuracy(results: Array) -> float | None:
    """mean over j of R[T-1, j]: how well all tasks are served now (Lopez-Paz and Ranzato 2017)."""
    results = _checked(results)
    return _mean(results[-1:])


def average_incremental_accuracy(results: Array) -> float | None:
    """mean over i of (mean over j <= i of R[i, j]): how well the tasks seen so far were served, along the way.

    Each task counts the same; Rebuffi et al. 2017 count each test row the same.
    """
    results = _checked(results)
    steps = (_mean(row[: step + 1]) for step, row in enumerate(results))
    return _mean(np.array([step for step in steps if step is not None], dtype=np.float64))


def plasticity(results: Array) -> float | None:
    """mean over j of R[j, j]: how well each task was learned when it came (Riemer et al. 2019)."""
    return _mean(np.diagonal(_checked(results)))


def bwt(results: Array) -> float | None:
    """Backward transfer, mean over j < T-1 of R[T-1, j] - R[j, j]: below 0 when later tasks did harm.

    A task counts when both of its scores were measured (Lopez-Paz and Ranzato 2017).
    """
    results = _checked(results)
    if len(results) < 2:
        return None
    return _mean(results[-1, :-1] - np.diagonal(results)[:-1])


def forgetting(results: Array) -> float | None:
    """mean over j < T-1 of (max over j <= l < T-1 of R[l, j]) - R[T-1, j]: below 0 when tasks got better.

    The maximum begins at the task's own step and leaves out the last row (Chaudhry et al. 2018). A task counts when its
    last score and at least one earlier one were measured.
    """
    results = _checked(results)
    if len(results) < 2:
        return None
    seen = np.tril(np.ones(results.shape, dtype=bool))
    earlier = np.where(seen & ~np.isnan(results), results, -np.inf)[:-1, :-1]
    best = earlier.max(axis=0)  # (T-1,)
    best[np.isneginf(best)] = np.nan  # never measured before the last step
    return _mean(best - results[-1, :-1])


def fwt(results: Array, baseline: Array) -> float | None:
    """Forward transfer, mean over i >= 1 of R[i-1, i] - b[i]: what was known of a task just before it was added.

    Lopez-Paz and Ranzato 2017 take for b the scores of an untrained model; a task whose labels nobody knows yet has no
    score, is NaN, and does not count.

    Args:
        baseline: b, (T,); NaN where it is unknown. b[0] is not used.
    """
    results = _checked(results)
    if baseline.shape != (len(results),):
        raise DataError(f"expected one baseline a task, shape ({len(results)},), got shape {baseline.shape}")
    if len(results) < 2:
        return None
    return _mean(np.diagonal(results, offset=1) - baseline[1:])


def _checked(results: Array) -> Array:
    if results.ndim != 2 or results.shape[0] != results.shape[1]:
        raise DataError(f"expected a square results matrix (T, T), got shape {results.shape}")
    if np.isinf(results).any():
        step, task = np.argwhere(np.isinf(results))[0].tolist()
        raise DataError(f"expected finite scores or NaN, got R[{step}, {task}] = {results[step, task]}")
    return results


def _mean(values: Array) -> float | None:
    measured = values[~np.isnan(values)]
    return float(measured.mean()) if measured.size else None
