"""Figures read off a results matrix R, where R[i, j] is the score on task j after task i was added.

R is (T, T), rows and columns in the order in which tasks were added, counted from 0; NaN stands where a score was not
measured. A NaN is never counted, neither as 0 nor as a task: a mean goes over what was measured, and is None where
nothing was, or where the figure is not defined (BWT, forgetting, FWT and stability need two tasks).

Sources: Lopez-Paz and Ranzato, 2017, arXiv:1706.08840, section 2 (average accuracy, BWT, FWT);
Chaudhry et al., 2018, arXiv:1801.10112, section 3 (forgetting, intransigence); Rebuffi et al., 2017, arXiv:1611.07725,
section 4 (average incremental accuracy); Riemer et al., 2019, arXiv:1810.11910, section 5 (plasticity, there called
learning accuracy); Sarfraz et al., 2022, arXiv:2206.04016 (stability). docs/metrics.md works an example through, and
says how other libraries differ.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from portfolio.errors import DataError

Array = npt.NDArray[np.float64]
Counts = npt.NDArray[np.integer]


def average_accuracy(results: Array) -> float | None:
    """mean over j of R[T-1, j]: how well all tasks are served now, each task counting the same.

    Source: Lopez-Paz and Ranzato, 2017, arXiv:1706.08840, section 2.
    """
    results = _checked(results)
    return _mean(results[-1:])


def micro_average_accuracy(results: Array, rows: Counts) -> float | None:
    """(sum over j of n[j] * R[T-1, j]) / (sum over j of n[j]): how well all tasks are served now, by examples.

    Source of micro and macro averages: Manning et al., 2008, Introduction to Information Retrieval, section 13.6.

    Args:
        rows: n, (T,), the test rows of each task, 0 or more. Those of a task that was not measured do not count.
    """
    results = _checked(results)
    _require_one_a_task(rows, results, "number of test rows")
    if (rows < 0).any():
        raise DataError(f"expected 0 or more test rows a task, got {rows[rows < 0][0]}")
    if not len(results):
        return None
    measured = ~np.isnan(results[-1])
    total = rows[measured].sum()
    return float(rows[measured] @ results[-1, measured] / total) if total else None


def incremental_accuracies(results: Array) -> tuple[float | None, ...]:
    """For each step i, mean over j <= i of R[i, j]: how well the tasks seen by then were served.

    None for a step at which none of them was measured.
    Source: Rebuffi et al., 2017, arXiv:1611.07725, section 4, where each test row counts the same; here each task does.
    """
    return tuple(_mean(row[: step + 1]) for step, row in enumerate(_checked(results)))


def average_incremental_accuracy(results: Array) -> float | None:
    """mean over i of (mean over j <= i of R[i, j]): how well the tasks seen so far were served, along the way.

    Source: Rebuffi et al., 2017, arXiv:1611.07725, section 4, where each test row counts the same; here each task does.
    """
    steps = incremental_accuracies(results)
    return _mean(np.array([step for step in steps if step is not None], dtype=np.float64))


def plasticity(results: Array) -> float | None:
    """mean over j of R[j, j]: how well each task was learned when it came.

    Source: Riemer et al., 2019, arXiv:1810.11910, section 5, there called learning accuracy.
    """
    return _mean(np.diagonal(_checked(results)))


def stability(results: Array) -> float | None:
    """mean over j < T-1 of R[T-1, j]: how well the tasks from before the last one are served now.

    A score, not a change: a method that never learned a task well is not stable by this either. Of the definitions in
    use this is the one that stands beside plasticity, with which it shares its scale.
    Source: Sarfraz et al., 2022, arXiv:2206.04016 (SYNERgy), the S of their trade-off of stability and plasticity.
    """
    results = _checked(results)
    return _mean(results[-1:, :-1])


def worst_task(results: Array) -> tuple[int, float] | None:
    """argmin and min over j of R[T-1, j]: the task that is served worst now, the first of equals, and its score.

    A mean hides a task that fails; no source is needed for a minimum.
    """
    results = _checked(results)
    if np.isnan(results[-1:]).all():
        return None
    task = int(np.nanargmin(results[-1]))
    return task, float(results[-1, task])


def bwt(results: Array) -> float | None:
    """Backward transfer, mean over j < T-1 of R[T-1, j] - R[j, j]: below 0 when later tasks did harm.

    A task counts when both of its scores were measured.
    Source: Lopez-Paz and Ranzato, 2017, arXiv:1706.08840, section 2. Diaz-Rodriguez et al., 2018, arXiv:1810.13166,
    take the mean of R[i, j] - R[j, j] over all pairs j < i instead, which is another figure.
    """
    return _mean(bwt_of_tasks(results))


def bwt_of_tasks(results: Array) -> Array:
    """(T,): R[T-1, j] - R[j, j] of each task j < T-1, whose mean is BWT; NaN where unknown, as for the last task."""
    results = _checked(results)
    changes = np.full(len(results), np.nan)
    if len(results) > 1:
        changes[:-1] = results[-1, :-1] - np.diagonal(results)[:-1]
    return changes


def forgetting(results: Array) -> float | None:
    """mean over j < T-1 of (max over j <= l < T-1 of R[l, j]) - R[T-1, j]: below 0 when tasks got better.

    The maximum begins at the task's own step and leaves out the last row. A task counts when its last score and at
    least one earlier one were measured.
    Source: Chaudhry et al., 2018, arXiv:1801.10112, section 3.
    """
    return _mean(forgetting_of_tasks(results))


def forgetting_of_tasks(results: Array) -> Array:
    """(T,): (max over j <= l < T-1 of R[l, j]) - R[T-1, j] of each task j < T-1, whose mean is forgetting.

    NaN where it is unknown, as for the last task.
    """
    results = _checked(results)
    losses = np.full(len(results), np.nan)
    if len(results) > 1:
        seen = np.tril(np.ones(results.shape, dtype=bool))
        earlier = np.where(seen & ~np.isnan(results), results, -np.inf)[:-1, :-1]
        best = earlier.max(axis=0)  # (T-1,)
        best[np.isneginf(best)] = np.nan  # never measured before the last step
        losses[:-1] = best - results[-1, :-1]
    return losses


def fwt(results: Array, baseline: Array) -> float | None:
    """Forward transfer, mean over i >= 1 of R[i-1, i] - b[i]: what was known of a task just before it was added.

    A task whose labels nobody knows yet has no score, is NaN, and does not count.
    Source: Lopez-Paz and Ranzato, 2017, arXiv:1706.08840, section 2, with the scores of an untrained model for b.

    Args:
        baseline: b, (T,); NaN where it is unknown. b[0] is not used.
    """
    results = _checked(results)
    _require_one_a_task(baseline, results, "baseline")
    if len(results) < 2:
        return None
    return _mean(np.diagonal(results, offset=1) - baseline[1:])


def intransigence(results: Array, reference: Array) -> float | None:
    """mean over j of a*[j] - R[j, j]: how far tasks, when they came, fell short of a reference; below 0: did better.

    Source: Chaudhry et al., 2018, arXiv:1801.10112, section 3, whose reference for task j was trained jointly on all
    tasks up to j; they give one figure a step, this is the mean over steps. A reference trained on the task alone gives
    a figure too: say which it is.

    Args:
        reference: a*, (T,); NaN where it is unknown.
    """
    results = _checked(results)
    _require_one_a_task(reference, results, "reference score")
    return _mean(reference - np.diagonal(results))


def routing_loss(oracle: Array, routed: Array) -> float | None:
    """mean over j of oracle[T-1, j] - routed[T-1, j]: what it costs now that nobody names the task.

    This project's own: below 0 where another task's adapter knows better, or a mixture of several does.

    Args:
        oracle: R measured with the true task given.
        routed: R measured with the router choosing, of the same tasks. A task counts when it was measured both ways.
    """
    oracle, routed = _checked(oracle), _checked(routed)
    if oracle.shape != routed.shape:
        raise DataError(f"expected two results matrices of one shape, got shapes {oracle.shape} and {routed.shape}")
    return _mean(oracle[-1:] - routed[-1:])


def _checked(results: Array) -> Array:
    if results.ndim != 2 or results.shape[0] != results.shape[1]:
        raise DataError(f"expected a square results matrix (T, T), got shape {results.shape}")
    if np.isinf(results).any():
        step, task = np.argwhere(np.isinf(results))[0].tolist()
        raise DataError(f"expected finite scores or NaN, got R[{step}, {task}] = {results[step, task]}")
    return results


def _require_one_a_task(values: Array | Counts, results: Array, what: str) -> None:
    if values.shape != (len(results),):
        raise DataError(f"expected one {what} a task, shape ({len(results)},), got shape {values.shape}")


def _mean(values: Array) -> float | None:
    measured = values[~np.isnan(values)]
    # as measured.mean(), at a third of its cost
    return float(np.add.reduce(measured) / measured.size) if measured.size else None
