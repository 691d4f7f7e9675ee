"""What a portfolio's router was told to do, and how it was calibrated: as data, and in words."""

from __future__ import annotations

import math
from dataclasses import dataclass

from portfolio.records import BARE_BASE, RouterState
from portfolio.reports.wording import percent

_NOT_MEASURED = "not measured"


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterFigures:
    """A router's settings, and what was chosen and measured for them on validation rows."""

    coverage_wanted: float  # setting: share of in-scope inputs to keep
    recall_wanted: (
        float | None
    )  # setting: share of out-of-scope inputs to refuse; then this decides, and not the coverage
    fallback: str | None  # setting: who answers where the router abstains
    shared_labels: bool  # setting: whether equal labels of different tasks mean the same
    threshold: float | None  # None: nothing is abstained on
    temperature: float
    asked: float | None  # share of inputs for which the base was asked, as the trunk was not sure
    ece_before: float | None
    ece: float | None


def figures_of_router(router: RouterState) -> RouterFigures:
    """The figures that a router's state holds, without NaN or infinity."""
    return RouterFigures(
        coverage_wanted=router.wishes.coverage,
        recall_wanted=router.wishes.recall,
        fallback=router.wishes.fallback,
        shared_labels=router.wishes.shared_labels,
        threshold=_finite(router.threshold),
        temperature=router.temperature,
        asked=1.0 if router.first_look is None else _finite(router.asked),
        ece_before=_finite(router.ece_before),
        ece=_finite(router.ece),
    )


def in_words(router: RouterFigures) -> list[tuple[str, str]]:
    """Each figure's name, and what it is."""
    return [
        ("abstains", _abstaining(router)),
        ("fallback", _fallback(router.fallback)),
        ("equal labels", "mean the same in all tasks" if router.shared_labels else "are told apart by their task"),
        ("base asked", _NOT_MEASURED if router.asked is None else f"for {percent(router.asked)} % of inputs"),
        ("calibration", _calibration(router)),
    ]


def reached(coverage: float | None, recall: float | None) -> list[tuple[str, str]]:
    """What a calibration reached on the rows that it was chosen on: shares of rows kept, and of others refused."""
    both = [
        ("coverage reached", _NOT_MEASURED if coverage is None else f"{percent(coverage)} % of validation rows kept"),
        *([] if recall is None else [("recall reached", f"{percent(recall)} % of out-of-scope examples refused")]),
    ]
    note = "on the very rows that the threshold was chosen on; new inputs may do a little worse"
    return [*both, ("measured", note)]


def _abstaining(router: RouterFigures) -> str:
    if router.threshold is None:
        return "never"
    if router.recall_wanted is not None:
        chosen = f"to refuse {percent(router.recall_wanted)} % of the out-of-scope examples given"
    else:
        chosen = f"to keep {percent(router.coverage_wanted)} % of in-scope inputs"
    return f"below an in-scope score of {router.threshold:.3g}, chosen {chosen}"


def _fallback(fallback: str | None) -> str:
    if fallback is None:
        return "none: where the router abstains, nobody answers"
    if fallback == BARE_BASE:
        return "the bare base: where the router abstains, the nearest class centroid answers"
    return f"the task {fallback}: it answers where the router abstains"


def _calibration(router: RouterFigures) -> str:
    if router.ece_before is None or router.ece is None:
        return f"ECE {_NOT_MEASURED}"
    return f"ECE {percent(router.ece_before)} % before, {percent(router.ece)} % after, of P(task | x)"


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value
