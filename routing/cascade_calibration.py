"""What a cascade takes from validation data: both looks' own settings, and when the first look may decide alone.

    margin m:      the smallest for which  |{i : m₁ᵢ >= m, the first look errs, the second does not}| <= TOLERANCE · N,
                   or that LEAST_ASKED · N of the rows do not reach, if that is larger
    sure level s:  the first look's in-scope score that all but DOUBTED · (1 - coverage) · N of the rows reach;
                   with a wanted recall, of M real out-of-scope rows, (1 - recall) · M / DOUBTED may reach m and s at most
    threshold t:   of the rows that are asked, so many fall below it that the wanted share of all rows is kept;
                   with a wanted recall, so many of the M

Counting only the rows that the first look would spoil, and not those it would mend, makes m careful. Where the first look
is sure of all rows to be kept, any t keeps them; then t is the one for a second look at every row.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from routing.calibration import choose_temperature, choose_threshold, pooled, rows_for, sharpened
from routing.cascade import Cascade, CascadeCalibration, CascadeChoices, FirstLook
from routing.decision import Choices
from routing.measures import expected_calibration_error
from routing.router import CentroidRouter
from routing.statistics import Float64, FloatArray, Int64

TOLERANCE = 0.001  # of accuracy, that one pass may cost
LEAST_ASKED = 0.2  # share of rows whose margin is too small, however well the first look does
DOUBTED = 3.0  # times as many rows are looked at twice for their scope's sake as may be refused
_NEVER_REFUSED = float(np.finfo(np.float64).max)  # the in-scope score, as it counts, where the first look was sure


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """How a calibrated cascade does on the rows that it was calibrated on. None where there were no such rows."""

    ece_before: float | None = None  # expected calibration error of P(task | x) by all features, at temperature 1
    ece: float | None = None
    asked: float | None = None  # share of in-scope rows whose full features were asked
    coverage: float | None = None  # share of in-scope rows kept
    recall: float | None = None  # share of out-of-scope rows refused


def calibrate_cascade(
    cascade: Cascade,
    validation: Sequence[FloatArray],
    coverage: float,
    *,
    out_of_scope: FloatArray | None = None,
    recall: float | None = None,
) -> tuple[CascadeCalibration, Quality]:
    """The best settings for a cascade, whatever its own are, and how it does with them.

    Args:
        validation: all features (N_t, d) of every task's validation rows, in the cascade's order; N_t may be 0.
        coverage: the share of them to keep.
        out_of_scope: all features (M, d) of real out-of-scope inputs.
        recall: the share of those to refuse; then it sets the threshold, and not the coverage.

    Raises:
        ValueError: a coverage or recall outside (0, 1], or a recall without out-of-scope rows.
    """
    outside = None if out_of_scope is None or not len(out_of_scope) else out_of_scope
    _check_wishes(coverage, outside, recall)
    some = rows_for(cascade.whole, validation)
    features, true_task = pooled(some)
    whole = sharpened(cascade.whole, some)
    first = _first_look(whole, cascade.first_width, features, true_task, coverage) if len(features) else None
    if first is not None and outside is not None and recall is not None:
        first = _wary(first, whole.leading(cascade.first_width), outside[:, : cascade.first_width], recall)
    open_to_all = Cascade(whole, cascade.first_width, first)  # its threshold is still -inf
    made = open_to_all.choose(features)
    strange = None if outside is None else _second_scores(open_to_all.choose(outside))
    if recall is not None and strange is not None:
        threshold = float(np.nextafter(np.sort(strange)[_rows(recall, len(strange)) - 1], np.inf))
    elif len(features):
        threshold = _threshold(whole, features, _second_scores(made), coverage)
    else:
        threshold = -math.inf
    settings = CascadeCalibration(whole=replace(whole.settings, threshold=threshold), first=first)
    refused = None if strange is None else float((strange < threshold).mean())
    if not len(features):
        return settings, Quality(recall=refused)
    return settings, Quality(
        ece_before=_calibration_error(whole.at_temperature(1.0).choose(features), true_task),
        ece=_calibration_error(made.choices, true_task),
        asked=float(made.asked.mean()),
        coverage=float((_second_scores(made) >= threshold).mean()),
        recall=refused,
    )


def _check_wishes(coverage: float, out_of_scope: FloatArray | None, recall: float | None) -> None:
    if not 0 < coverage <= 1:
        raise ValueError(f"coverage must be above 0 and at most 1, got {coverage}")
    if recall is not None and not 0 < recall <= 1:
        raise ValueError(f"recall must be above 0 and at most 1, got {recall}")
    if recall is not None and out_of_scope is None:
        raise ValueError("a recall needs out-of-scope rows to be reached on, got none")


def _first_look(
    whole: CentroidRouter, width: int, features: FloatArray, true_task: Int64, coverage: float
) -> FirstLook | None:
    """When the leading features are enough; None where they never are."""
    sure = 1 - DOUBTED * (1 - coverage)
    if not 0 < width < whole.width or sure <= 0:
        return None
    leading, corner = whole.leading(width), features[:, :width]
    leading = leading.at_temperature(choose_temperature(leading, corner, true_task))
    early, late = leading.choose(corner), whole.choose(features)
    spoiled = (early.tasks != true_task) & (late.tasks == true_task)
    return FirstLook(
        margin=max(
            _lowest_level(early.margins[spoiled], int(TOLERANCE * len(features))),
            float(np.quantile(early.margins, LEAST_ASKED)),
        ),
        in_scope=choose_threshold(early.in_scope, sure),
        temperature=leading.settings.temperature,
    )


def _wary(first: FirstLook, leading: CentroidRouter, outside: FloatArray, recall: float) -> FirstLook:
    """The first look that is sure of so few out-of-scope rows (M, width) that the recall can be reached by the second."""
    seen = leading.at_temperature(first.temperature).choose(outside)
    allowed = (len(outside) - _rows(recall, len(outside))) // DOUBTED
    level = _lowest_level(seen.in_scope[seen.margins >= first.margin], int(allowed))
    return replace(first, in_scope=max(first.in_scope, level))


def _lowest_level(scores: Float64, allowed: int) -> float:
    """The lowest that no more than `allowed` of the scores reach."""
    return -math.inf if len(scores) <= allowed else float(np.nextafter(np.sort(scores)[-1 - allowed], np.inf))


def _rows(share: float, rows: int) -> int:
    """So many of them are this share, or a little more; one at least."""
    return max(1, math.ceil(share * rows - 1e-9))  # 0.07 * 100 is a little more than 7


def _threshold(whole: CentroidRouter, features: FloatArray, scores: Float64, coverage: float) -> float:
    """Args: scores: (N,), the second look's where it is asked, `_NEVER_REFUSED` elsewhere."""
    threshold = choose_threshold(scores, coverage)
    return threshold if threshold < _NEVER_REFUSED else choose_threshold(whole.in_scope_scores(features), coverage)


def _second_scores(made: CascadeChoices) -> Float64:
    """(N,)"""
    return np.where(made.asked, made.choices.in_scope, _NEVER_REFUSED)


def _calibration_error(choices: Choices, true_task: Int64) -> float:
    return expected_calibration_error(choices.probabilities, choices.tasks == true_task)
