"""How good a router is, as numbers: in scope or not, how sure and how right, which task for which.

    AUROC       P(s_in > s_out) + ½ P(s_in = s_out)
    FPR at r    share of out-of-scope rows with s >= t, where t is the largest threshold that keeps the share r in scope
    ECE         Σ_b |B_b| / N · |accuracy(B_b) - mean probability(B_b)|          B_b: bins of equal width
    risk(c)     share of wrong answers among the most confident share c;   AURC = (1 / N) Σ_n risk(n / N)

Sources: Hanley and McNeil, 1982 (AUROC as a chance); Hendrycks and Gimpel, 2017, arXiv:1610.02136 (detection of what is out
of scope); Naeini et al., 2015, and Guo et al., 2017, arXiv:1706.04599 (ECE); Geifman and El-Yaniv, 2017,
arXiv:1705.08500 (coverage and risk), and Geifman et al., 2019, arXiv:1805.08206 (the area).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from routing.statistics import Float64, FloatArray, Int64

Integers = npt.NDArray[np.integer]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskCurve:
    """How often an answer is wrong when only the most confident are given."""

    coverages: tuple[float, ...]  # shares of the rows that are answered, as asked for
    risks: tuple[float, ...]  # for each of them the share of wrong answers, in [0, 1]
    area: float  # AURC: the mean risk over every number of rows answered, from one to all; in [0, 1]


def auroc(in_scope: FloatArray, out_of_scope: FloatArray) -> float:
    """How likely a row in scope (N,) scores higher than one out of scope (M,); of equal scores half count.

    Raises:
        ValueError: no scores, or scores that are not finite; so for every function here.
    """
    _check_scores(in_scope, "in-scope")
    _check_scores(out_of_scope, "out-of-scope")
    others = np.sort(out_of_scope)
    below, up_to = np.searchsorted(others, in_scope, "left"), np.searchsorted(others, in_scope, "right")
    return float(np.mean(below + up_to) / (2 * len(others)))


def fpr_at_recall(in_scope: FloatArray, out_of_scope: FloatArray, recall: float = 0.95) -> float:
    """The share of out-of-scope rows (M,) that are kept when this share of in-scope rows (N,) is: FPR95."""
    return 1 - recall_at_coverage(in_scope, out_of_scope, recall)


def recall_at_coverage(in_scope: FloatArray, out_of_scope: FloatArray, coverage: float) -> float:
    """The share of out-of-scope rows (M,) refused by the largest threshold that keeps this share of in-scope rows (N,)."""
    _check_scores(in_scope, "in-scope")
    _check_scores(out_of_scope, "out-of-scope")
    threshold = np.sort(in_scope)[-_rows_kept(coverage, len(in_scope))]
    return float(np.mean(out_of_scope < threshold))


def expected_calibration_error(probabilities: FloatArray, is_right: Mask, bins: int = 15) -> float:
    """How far probabilities (N,) are from the share of rows that are right, bin by bin of equal width; in [0, 1].

    A probability on the border of two bins counts in the lower one.
    """
    _check_scores(probabilities, "probabilities as")
    _check_as_many(is_right, probabilities)
    if probabilities.min() < 0 or probabilities.max() > 1:
        raise ValueError(
            f"expected probabilities from 0 to 1, got {probabilities.min():.4g} to {probabilities.max():.4g}"
        )
    if bins < 1:
        raise ValueError(f"expected one bin or more, got {bins}")
    borders = np.linspace(0, 1, bins + 1)[1:-1]
    gaps = np.bincount(np.digitize(probabilities, borders, right=True), weights=is_right - probabilities)
    return float(np.abs(gaps).sum() / len(probabilities))


def coverage_risk(scores: FloatArray, is_right: Mask, coverages: Sequence[float]) -> RiskCurve:
    """For each of these shares the error among the most confident rows, and the area under the whole curve.

    Rows of equal scores count as each other's mean: what any order among them gives on average.

    Args:
        scores: (N,), higher is more confident.
        is_right: (N,).
        coverages: each in (0, 1]; at least one row is answered.
    """
    _check_scores(scores, "confidence")
    _check_as_many(is_right, scores)
    kept = [_rows_kept(coverage, len(scores)) for coverage in coverages]
    _, group = np.unique(scores, return_inverse=True)
    errors = (np.bincount(group, weights=~is_right) / np.bincount(group))[group]
    risks = np.cumsum(errors[np.argsort(-scores, kind="stable")]) / np.arange(1, len(scores) + 1)
    return RiskCurve(
        coverages=tuple(coverages), risks=tuple(float(risks[n - 1]) for n in kept), area=float(risks.mean())
    )


def confusion(true: Integers, chosen: Integers, n: int) -> Int64:
    """(n, n): in row i and column j how many rows of task i (N,) were given to task j (N,)."""
    _check_as_many(chosen, true)
    numbers = np.concatenate([true, chosen])
    if len(numbers) and not (numbers.min() >= 0 and numbers.max() < n):
        raise ValueError(f"expected tasks from 0 to {n - 1}, got {numbers.min()} to {numbers.max()}")
    return np.bincount(true.astype(np.int64) * n + chosen, minlength=n * n).reshape(n, n).astype(np.int64)


def _rows_kept(coverage: float, rows: int) -> int:
    if not 0 < coverage <= 1:
        raise ValueError(f"expected a share above 0 and at most 1, got {coverage}")
    return max(1, math.ceil(coverage * rows - 1e-9))  # 0.07 * 100 is a little more than 7


def _check_scores(scores: FloatArray, what: str) -> None:
    if scores.ndim != 1 or len(scores) == 0 or not np.isfinite(scores).all():
        raise ValueError(f"expected {what} scores (N,), finite and one or more, got {scores.shape} {scores.dtype}")


def _check_as_many(other: Mask | Integers, scores: Float64 | FloatArray | Integers) -> None:
    if other.shape != scores.shape or other.ndim != 1:
        raise ValueError(f"expected as many of each, got arrays of {scores.shape} and {other.shape}")
