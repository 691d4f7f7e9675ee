"""How sure a score or a change is: 95 % intervals by bootstrap over test rows, and Student's t over runs.

    resample the N test rows with replacement, compute the figure again, `draws` times;
    the interval is from the 2.5th to the 97.5th percentile of what came out

A row is right or wrong, so a change is +1, 0 or -1 a row, and the figure of a resample depends only on how many rows of
each kind it holds. These counts are multinomial: they are drawn instead of the rows, which gives the same distribution,
exactly, at a cost that hardly grows with N.

An interval holds adapters, router and tasks fixed: it says how much of a figure is the luck of these test rows, not how
it would differ with another seed or order; `t_interval` over runs says that. Where no row changed, every resample says
the same and the interval has no width. That is not certainty: 0 changes in N rows go with a rate of up to about 3 / N.

Source: Efron and Tibshirani, 1993, An Introduction to the Bootstrap, chapters 6 and 13 (percentile intervals).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from portfolio.errors import DataError
from portfolio.reports.findings import Interval

Array = npt.NDArray[np.float64]
Right = npt.NDArray[np.bool_] | npt.NDArray[np.integer]  # 1 for a row that is right, 0 for one that is wrong

_TAIL = 0.025  # on either side of 95 %


def change_interval(before: Right, after: Right, *, seed: int = 0, draws: int = 2000) -> Interval | None:
    """Of mean(after) - mean(before), the same rows drawn for both; None where there is no row.

    Args:
        before, after: (N,), row by row 1 for right and 0 for wrong, or True and False.
    """
    return mean_change_interval([(before, after)], seed=seed, draws=draws)


def mean_change_interval(pairs: Sequence[tuple[Right, Right]], *, seed: int = 0, draws: int = 2000) -> Interval | None:
    """Of the mean over tasks of mean(after) - mean(before), the rows of each task drawn by themselves, as for BWT.

    The tasks are held fixed: none is drawn twice or left out. A task without rows does not count; None if no task has.

    Args:
        pairs: of each task `before` and `after`, both (N,) and of the same rows, 1 for right and 0 for wrong.
    """
    generator = np.random.default_rng(seed)
    changes = np.zeros(draws)
    tasks = 0
    for before, after in pairs:
        won, lost, rows = _won_and_lost(before, after)
        if rows:
            changes += _drawn_changes(won, lost, rows, draws, generator)
            tasks += 1
    return _percentiles(changes / tasks) if tasks else None


def score_interval(right: Right, *, seed: int = 0, draws: int = 2000) -> Interval | None:
    """Of mean(right), which is in [0, 1]; None where there is no row.

    Args:
        right: (N,), 1 for a row that is right and 0 for one that is wrong, or True and False.
    """
    return change_interval(np.zeros(right.shape, dtype=np.bool_), right, seed=seed, draws=draws)


def t_interval(values: Array) -> Interval | None:
    """Of the mean over runs, Student's t: mean ± t(0.975, n-1) * s / sqrt(n); None for fewer than two runs.

    Args:
        values: (n,), one figure a run, such as an order and a seed; NaN where a run has none, which does not count.
    """
    from scipy.special import stdtrit  # not scipy.stats, which is slow to import

    measured = values[~np.isnan(values)]
    runs = len(measured)
    if runs < 2:
        return None
    mean = float(measured.mean())
    reach = float(stdtrit(runs - 1, 1 - _TAIL)) * float(measured.std(ddof=1)) / math.sqrt(runs)
    return Interval(low=mean - reach, high=mean + reach)


def _won_and_lost(before: Right, after: Right) -> tuple[int, int, int]:
    """How many rows became right, how many became wrong, and of how many."""
    if before.ndim != 1 or before.shape != after.shape:
        raise DataError(f"expected the same rows twice, shape (N,), got shapes {before.shape} and {after.shape}")
    for values in (before, after):
        if values.dtype != np.bool_ and ((values != 0) & (values != 1)).any():
            wrong = values[(values != 0) & (values != 1)][0]
            raise DataError(
                f"expected 1 for a right row and 0 for a wrong one, got {wrong}; leave unknown rows out of both"
            )
    won = int(np.count_nonzero((before == 0) & (after == 1)))
    lost = int(np.count_nonzero((before == 1) & (after == 0)))
    return won, lost, len(before)


def _drawn_changes(won: int, lost: int, rows: int, draws: int, generator: np.random.Generator) -> Array:
    """(draws,): the mean change of each resample."""
    if won == lost == 0:
        return np.zeros(draws)
    shares = (won / rows, lost / rows, (rows - won - lost) / rows)
    counts = generator.multinomial(rows, shares, size=draws)  # (draws, 3)
    changes: Array = (counts[:, 0] - counts[:, 1]) / rows
    return changes


def _percentiles(drawn: Array) -> Interval:
    low, high = np.quantile(drawn, (_TAIL, 1 - _TAIL))
    return Interval(low=float(low), high=float(high))
