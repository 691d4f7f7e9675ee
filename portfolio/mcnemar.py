"""Whether one of two classifiers is better on the same examples by more than chance.

    b, c = rows that only the one, only the other gets right;   p = P(a fair coin falls as unevenly as b : c, or more so)

Source: McNemar, 1947, Psychometrika 12; exact and two-sided, by the binomial distribution.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]


def mcnemar(right: Bools, other_right: Bools) -> float:
    """The p-value in (0, 1] of the claim that both are equally good; 1 where they never differ.

    Args:
        right, other_right: (rows,), for each row whether it was answered rightly.

    Raises:
        ValueError: they are of different lengths.
    """
    if right.shape != other_right.shape:
        raise ValueError(f"expected answers to the same rows, got {right.shape} and {other_right.shape} of them")
    from scipy.stats import binomtest  # slow to import

    only_one = int((right & ~other_right).sum())
    differing = int((right != other_right).sum())
    return 1.0 if differing == 0 else float(binomtest(only_one, differing).pvalue)
