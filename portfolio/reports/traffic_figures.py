"""What the counts of a trial say: both sides' figures, and how far they are apart.

    agreement      rows to which both say the same label, of those that both were asked; exact interval (Clopper, Pearson)
    mean P         of the label that a version says; interval by Student's t
    gap            the challenger's mean P less the champion's: of a shadow pair by pair, Student's t; of a canary between two
                   groups, t with the degrees of freedom of Welch and Satterthwaite
    distance       1/2 Σ_label |share of the champion's answers - share of the challenger's|  (total variation, 0 to 1)
    by chance      its mean, were both groups drawn from the same answers p:  1/2 Σ √(2/π · p (1 - p) (1/n + 1/m))

No true label is known of these rows: none of it says who is right. All intervals are of 95 %, and take rows as independent.
Source of the degrees of freedom: Welch, 1947, Biometrika 34.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from portfolio.gates.statistics import share_bounds
from portfolio.records import Traffic
from portfolio.reports.findings import Interval
from portfolio.traffic import SHADOW, Counts, Said, Trial

_ONE_SIDED = 0.975  # of an interval of 95 %


@dataclass(frozen=True, slots=True, kw_only=True)
class SideFigures:
    """What one version said."""

    ref: str  # `name@version`
    rows: int
    probability: float | None  # mean P of the label that it says; None: of no row
    interval: Interval | None  # None: of fewer than two rows
    labels: tuple[tuple[str, int], ...]  # how often it said each, most often first


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialFigures:
    """What a challenger and the champion beside it said."""

    name: str
    mode: str  # `canary` or `shadow`
    traffic: Traffic | None  # None: it was ended, or the champion is another one now
    champion: SideFigures
    challenger: SideFigures
    gap: float | None
    gap_interval: Interval | None
    distance: float | None  # None: a side has no rows
    by_chance: float | None  # of a canary: how large that would be if both said the same
    same: int | None  # rows; of a shadow, as the next four
    different: int | None
    agreement: float | None
    agreement_interval: Interval | None
    failed: int | None  # on which the challenger could not be run


def trial_figures(trial: Trial, counts: Counts, traffic: Traffic | None) -> TrialFigures:
    """
    Args:
        traffic: what the challenger is tried on now; None: nothing.
    """
    is_shadow, champion, challenger = trial.mode == SHADOW, counts.champion, counts.challenger
    compared = counts.same + counts.different
    gap, gap_interval = _paired(counts, compared) if is_shadow else _apart(champion, challenger)
    return TrialFigures(
        name=trial.name,
        mode=trial.mode,
        traffic=traffic,
        champion=_side(str(trial.champion), champion),
        challenger=_side(str(trial.challenger), challenger),
        gap=gap,
        gap_interval=gap_interval,
        distance=_distance(champion, challenger),
        by_chance=None if is_shadow else _by_chance(champion, challenger),
        same=counts.same if is_shadow else None,
        different=counts.different if is_shadow else None,
        agreement=counts.same / compared if compared else None,
        agreement_interval=_share_interval(counts.same, compared) if compared else None,
        failed=counts.failed if is_shadow else None,
    )


def trials_to_dict(trials: tuple[TrialFigures, ...]) -> dict[str, Any]:
    """As one JSON object, strictly: null for what is not known."""
    return {"trials": [dataclasses.asdict(trial) for trial in trials]}


def _side(ref: str, said: Said) -> SideFigures:
    mean, variance = _moments(said.rows, said.probability, said.squares)
    return SideFigures(
        ref=ref,
        rows=said.rows,
        probability=mean,
        interval=None if mean is None or variance is None else _t_interval(mean, variance / said.rows, said.rows - 1),
        labels=tuple(sorted(said.labels, key=lambda one: (-one[1], one[0]))),
    )


def _paired(counts: Counts, rows: int) -> tuple[float | None, Interval | None]:
    mean, variance = _moments(rows, counts.gap, counts.gap_squares)
    if mean is None or variance is None:
        return mean, None
    return mean, _t_interval(mean, variance / rows, rows - 1)


def _apart(champion: Said, challenger: Said) -> tuple[float | None, Interval | None]:
    ours, our_variance = _moments(champion.rows, champion.probability, champion.squares)
    theirs, their_variance = _moments(challenger.rows, challenger.probability, challenger.squares)
    if ours is None or theirs is None:
        return None, None
    gap = theirs - ours
    if our_variance is None or their_variance is None:
        return gap, None
    one, other = our_variance / champion.rows, their_variance / challenger.rows
    whole = one + other
    below = one**2 / (champion.rows - 1) + other**2 / (challenger.rows - 1)
    return gap, _t_interval(gap, whole, whole**2 / below if below > 0 else math.inf)


def _moments(rows: int, total: float, squares: float) -> tuple[float | None, float | None]:
    """The mean, and the variance of one row about it, unbiased; None for what so few rows do not tell."""
    if rows == 0:
        return None, None
    mean = total / rows
    return mean, None if rows == 1 else max(squares / rows - mean**2, 0.0) * rows / (rows - 1)


def _t_interval(mean: float, variance: float, freedom: float) -> Interval:
    from scipy.stats import t

    reach = float(t.ppf(_ONE_SIDED, freedom)) * math.sqrt(variance)
    return Interval(low=mean - reach, high=mean + reach)


def _share_interval(some: int, rows: int) -> Interval:
    bounds = share_bounds(some, rows, _ONE_SIDED)
    return Interval(low=bounds.low, high=bounds.high)


def _distance(champion: Said, challenger: Said) -> float | None:
    if not (champion.rows and challenger.rows):
        return None
    ours, theirs = dict(champion.labels), dict(challenger.labels)
    apart = (
        abs(ours.get(label, 0) / champion.rows - theirs.get(label, 0) / challenger.rows) for label in {**ours, **theirs}
    )
    return sum(apart) / 2


def _by_chance(champion: Said, challenger: Said) -> float | None:
    if not (champion.rows and challenger.rows):
        return None
    together = champion + challenger
    shares = [number / together.rows for _, number in together.labels]
    spread = 1 / champion.rows + 1 / challenger.rows
    return sum(math.sqrt(2 / math.pi * p * (1 - p) * spread) for p in shares) / 2
