"""What a few hundred examples can tell: whether a version is worse than another by more than δ, and how good it is at least.

Of N rows, b are right under the champion alone, c under the version alone, m = b + c. The loss is λ = P(b) - P(c), of which
(b - c) / N is seen. A version may lose δ. Two one-sided tests at level α, one on either side:

    U   the largest λ that the score test does not refuse:  (b - c - N λ) / √(N (2 q + λ (1 - λ))) > -z(α),
        q = P(c), the likeliest that fits this λ:  q = (√(B² - 8 N C) - B) / 4 N,
        B = (2 N - b + c) λ - b - c,  C = -c λ (1 - λ)
    L   the smaller of the same bound from the other side, and of  m / N · (2 θ - 1),  θ the exact lower bound of a
        binomial's share, b of m

    BLOCK          L > δ: worse by more than δ, and not by chance. At δ = 0 this is McNemar's exact one-sided test, p < α
    PASS           U <= δ; or b = 0 over `least` rows or more, as a loss that no row shows cannot be told from none
    INCONCLUSIVE   neither: there are too few examples

The exact bound takes m as it came, and so forgets that m is chance, too. Where few rows differ that matters: as an upper
bound it would let 70 of 100 versions pass that lose just what they must not. So U is the score bound alone.

Sources: McNemar, 1947, Psychometrika 12 (the test); Tango, 1998, Statistics in Medicine 17 (the score bound); Clopper and
Pearson, 1934, Biometrika 26 (the exact bounds of a share).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from portfolio.gates.verdict import BLOCK, INCONCLUSIVE, PASS
from portfolio.mcnemar import mcnemar

Bool = npt.NDArray[np.bool_]
LEAST_ROWS = 30
DEFAULT_ALPHA = 0.05
SMALLEST_ALPHA, LARGEST_ALPHA = 0.001, 0.2  # further out, the score test and the exact one no longer agree at δ = 0

_EDGE = 1 - 1e-12  # of the losses that can be, -1 to 1
_NO_GAP = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Where a figure lies, each end left out with a chance of at most about α."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A version against another on the same rows."""

    rows: int  # N
    lost: int  # b, right under the other alone
    won: int  # c, right under the version alone
    loss: float  # (b - c) / N; below 0 the version is better
    bounds: Bounds  # of the loss: L and U
    p_value: float  # of McNemar's exact two-sided test that both are equally good
    outcome: str
    needed: int | None = (
        None  # about so many rows would tell, if their rates were those seen; None: none would, or told
    )


def compare(version: Bool, other: Bool, *, delta: float, alpha: float, least: int = LEAST_ROWS) -> Comparison:
    """Whether a version is no worse than another by more than `delta`.

    Args:
        version, other: (N,), for each row whether it was answered rightly; one row or more.
        alpha: in [0.001, 0.2].
        least: with fewer rows nothing passes.

    Raises:
        ValueError: they are of different lengths, or empty.
    """
    p_value = mcnemar(version, other)
    rows, lost, won = len(version), int((other & ~version).sum()), int((version & ~other).sum())
    bounds = loss_bounds(lost, won, rows, alpha)
    outcome = INCONCLUSIVE
    if bounds.low > delta:
        outcome = BLOCK
    elif rows >= least and (lost == 0 or bounds.high <= delta):
        outcome = PASS
    needed = rows_needed(lost, won, rows, delta=delta, alpha=alpha, least=least) if outcome == INCONCLUSIVE else None
    loss = (lost - won) / rows
    return Comparison(
        rows=rows, lost=lost, won=won, loss=loss, bounds=bounds, p_value=p_value, outcome=outcome, needed=needed
    )


def loss_bounds(lost: int, won: int, rows: int, alpha: float) -> Bounds:
    """L and U, from counts b, c and N.

    Raises:
        ValueError: no rows.
    """
    if rows < 1:
        raise ValueError("expected one row or more, got none")
    z = _z(alpha)
    high = _root(lambda loss: _score(lost, won, rows, loss) + z)
    low = _root(lambda loss: _score(lost, won, rows, loss) - z)
    differing = lost + won
    if differing:
        exact = differing / rows * (2 * share_bounds(lost, differing, 1 - alpha).low - 1)
        low = min(low, exact)
    return Bounds(low=low, high=high)


def rows_needed(lost: int, won: int, rows: int, *, delta: float, alpha: float, least: int) -> int | None:
    """About how many rows would tell a loss from δ if their rates stayed as they are; None where it is just δ.

    That many is z² v / (loss - δ)², v the variance of one row's loss.
    """
    loss = (lost - won) / rows
    if abs(loss - delta) < _NO_GAP:
        return None
    variance = (lost + won) / rows - loss**2
    wanted = math.ceil(_z(alpha) ** 2 * variance / (loss - delta) ** 2)
    return max(wanted, least, rows + 1)


def share_bounds(right: int, rows: int, confidence: float) -> Bounds:
    """The exact bounds of a share, `right` of `rows`, each one-sided at that confidence."""
    from scipy.special import betaincinv  # slow to import, as all of scipy

    alpha = 1 - confidence
    return Bounds(
        low=float(betaincinv(right, rows - right + 1, alpha)) if right else 0.0,
        high=float(betaincinv(right + 1, rows - right, 1 - alpha)) if right < rows else 1.0,
    )


def _score(lost: int, won: int, rows: int, loss: float) -> float:
    """How many standard errors the loss that was seen lies above this one."""
    b = (2 * rows - lost + won) * loss - lost - won
    c = -won * loss * (1 - loss)
    share = (math.sqrt(max(b * b - 8 * rows * c, 0.0)) - b) / (4 * rows)
    variance = rows * (2 * share + loss * (1 - loss))
    gap = lost - won - rows * loss
    return gap / math.sqrt(variance) if variance > 0 else 0.0


def _root(function: Callable[[float], float]) -> float:
    """Where a falling function of the loss is 0; the end of the losses that can be where it is nowhere."""
    if function(_EDGE) >= 0:
        return 1.0
    if function(-_EDGE) <= 0:
        return -1.0
    from scipy.optimize import brentq

    return float(brentq(function, -_EDGE, _EDGE, xtol=1e-13))


def _z(alpha: float) -> float:
    """z(α), which a standard normal number exceeds with a chance of α."""
    from scipy.special import ndtri

    return -float(ndtri(alpha))
